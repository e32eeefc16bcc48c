#!/usr/bin/env bash
# Draws the pictures of the rules with the embedded model, and writes the pages of the library.
# Rules that need more than the model (a table, prompts of their own, a second picture) have none.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --quiet --bin guidec --example side_by_side
programs=${CARGO_TARGET_DIR:-target}/release
prompts=(strawberry fox "red apple" pizza)

row() { # FOLDER RULE OPTIONS...
    local folder=$1 rule=$2 at=0
    shift 2
    for prompt in "${prompts[@]}"; do
        "$programs/guidec" run "std::rules::$rule" "$@" --prompt "$prompt" --seed 3 --quiet \
            --out "$work/$folder/$at.png" || return
        at=$((at + 1))
    done
}

# Of several pictures that see one another.
batch() { # FOLDER RULE OPTIONS...
    local folder=$1 rule=$2
    shift 2
    "$programs/guidec" run "std::rules::$rule" "$@" --prompt "red apple" --seed 3 --batch 4 --quiet \
        --out "$work/$folder"
}

row none cfg --set scale=1
batch apples cfg --set scale=1
batch apart push_apart
mkdir -p stdlib/reference/pictures/rules
for file in stdlib/rules/*.guide; do
    rule=$(basename "$file" .guide)
    options=()
    if [ "$rule" = push_apart ]; then
        "$programs/examples/side_by_side" "stdlib/reference/pictures/rules/$rule.png" \
            "no guidance=$(echo "$work"/apples/*)" "$rule=$(echo "$work"/apart/*)"
        continue
    fi
    if [[ " perp_neg negative_attention steer_away " == *" $rule "* ]]; then
        options=(--negative "green leaf")
    fi
    if [ "$rule" = calibrated_edm ]; then
        # The authors' scale is for pixels of a large network; the small one shows nothing of it.
        options=(--set scale=0.05)
    fi
    if [ "$rule" = universal ]; then
        options=(--bind "close=color:#2040ff")
    fi
    if row "$rule" "$rule" "${options[@]}" 2> "$work/said"; then
        "$programs/examples/side_by_side" "stdlib/reference/pictures/rules/$rule.png" \
            "no guidance=$work/none" "$rule=$work/$rule"
    else
        echo "$rule: no picture: $(grep -m1 G0 "$work/said" || head -n1 "$work/said")"
    fi
done

# What an objective ends in.
objective() { # NAME OPTIONS...
    local name=$1 at=0
    shift
    for prompt in "${prompts[@]}"; do
        "$programs/guidec" optimise "std::objectives::$name" "$@" --prompt "$prompt" --seed 3 --steps 200 \
            --quiet --out "$work/objectives/$name/$at.png"
        at=$((at + 1))
    done
    "$programs/examples/side_by_side" "stdlib/reference/pictures/objectives/$name.png" \
        "$name=$work/objectives/$name"
}

mkdir -p stdlib/reference/pictures/objectives
objective sds --set scale=7.5
objective csd
objective domain_score
"$programs/guidec" doc --out stdlib/reference
