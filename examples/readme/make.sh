#!/usr/bin/env bash
# Makes the README's pictures: the same prompts and the same noise under several rules, and the
# contact sheet of the embedded model.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --quiet --bin guidec --example side_by_side
programs=${CARGO_TARGET_DIR:-target}/release

row() { # FOLDER RULE OPTIONS... : one picture of each of the prompts
    local folder=$1 rule=$2 at=0
    shift 2
    for prompt in "${prompts[@]}"; do
        "$programs/guidec" run "std::rules::$rule" "$@" --prompt "$prompt" --seed "$seed" --quiet \
            --out "$work/$folder/$(printf %02d $at).png"
        at=$((at + 1))
    done
}

sheet() { # OUT "LABEL=FOLDER"...
    local out=$1
    shift
    "$programs/examples/side_by_side" "examples/readme/$out" "${@/=/=$work/}"
}

seed=3
prompts=(strawberry fox penguin "tiger face" pizza sunflower "rabbit face" octopus)
row none cfg --set scale=1
row cfg cfg --set scale=5
row cfg15 cfg --set scale=15
row apg15 apg --set scale=15 --set radius=0.5
row pag pag --set scale=2
row weak autoguidance --set scale=2
sheet guidance.png "no guidance=none" "CFG 5=cfg" "CFG 15=cfg15" "APG 15=apg15" "PAG 2=pag" "autoguidance 2=weak"

seed=0
rows=()
for half in 1 2; do
    if [ $half = 1 ]; then
        prompts=(strawberry panda "red apple" "green apple" penguin pizza sunflower fox cactus "clown face" owl doughnut)
    else
        prompts=(turtle "birthday cake" robot "red heart" "blue heart" frog mushroom unicorn hamburger "hot pepper" snail ghost)
    fi
    for scale in 1 3 7.5; do
        row "sheet$half-$scale" cfg --set "scale=$scale"
        rows+=("$scale=sheet$half-$scale")
    done
done
sheet sheet.png "${rows[@]}"
