#!/usr/bin/env bash
# Makes the README's picture: the same prompts and the same noise under four rules.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

prompts=(strawberry panda "red apple" penguin pizza sunflower)

row() { # FOLDER RULE OPTIONS...
    local folder=$1 rule=$2
    shift 2
    for prompt in "${prompts[@]}"; do
        cargo run --release --quiet -- run "std::rules::$rule" "$@" --prompt "$prompt" --seed 3 \
            --out "$work/$folder" --quiet
    done
}

mkdir -p "$work"/{none,cfg,apg,pag}
row none cfg --set scale=1
row cfg cfg --set scale=7.5
row apg apg --set scale=7.5
row pag pag --set scale=2

cargo run --release --quiet --example side_by_side -- examples/readme/guidance.png \
    "no guidance=$work/none" "CFG 7.5=$work/cfg" "APG 7.5=$work/apg" "PAG 2=$work/pag"
