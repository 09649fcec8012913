#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gpu_equal.sh BUILD -- the rows of a run on the GPU are those of a run on the CPU, byte for byte: every recipe, key
# geometry and kind of storage (reproduce.yaml), tensors and outputs from files (golden.yaml), numbers at their ends in
# shapes that no vector fits (hostile.yaml), blocks of several sizes.
set -eu
gdnprec=$1/gdnprec
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
# The chunked form of a GPU has sums of its own order: its profiles stay away.
sed "s|path: \.\./|path: $PWD/|; s/, chunk-[a-z0-9]*//g" experiments/golden.yaml >"$out/golden.yaml"
hostile=
for shape in 1x1 3x16 16x3 80x256 256x1 1x80 128x128 128x3; do
    sed "s/^experiment: .*/experiment: hostile-$shape/; s/^dk: .*/dk: ${shape%x*}/; s/^dv: .*/dv: ${shape#*x}/" tests/hostile.yaml >"$out/hostile-$shape.yaml"
    hostile="$hostile $out/hostile-$shape.yaml"
done
for file in tests/reproduce.yaml "$out/golden.yaml" $hostile; do
    name=$(basename "$file" .yaml)
    "$gdnprec" run --quiet --backend cpu --results "$out/cpu" "$file" >/dev/null
    for block in 1024 37; do
        "$gdnprec" run --quiet --backend cuda --block $block --results "$out/cuda$block" "$file" >/dev/null
        if cmp -s "$out/cpu/$name/cells.csv" "$out/cuda$block/$name/cells.csv"; then
            echo "ok      $name, blocks of $block: $(wc -l <"$out/cpu/$name/cells.csv") lines equal"
        else
            failed=1
            echo "FAILED  $name, blocks of $block: $(cmp "$out/cpu/$name/cells.csv" "$out/cuda$block/$name/cells.csv" 2>&1 || true)"
            diff "$out/cpu/$name/cells.csv" "$out/cuda$block/$name/cells.csv" | grep -c '^<' | sed 's/$/ rows differ; the first:/'
            diff "$out/cpu/$name/cells.csv" "$out/cuda$block/$name/cells.csv" | grep -m1 '^<' | cut -c1-300
            diff "$out/cpu/$name/cells.csv" "$out/cuda$block/$name/cells.csv" | grep -m1 '^>' | cut -c1-300
        fi
    done
done
# One task and threads to spare, o and the state without y: the witness works on the host meanwhile.
sed 's/^profiles:/quantities: [state, o]\nprofiles:/; /name: low-rank/d; /name: needle/d; /name: repeated/d; /name: zipf/d' \
    tests/reproduce.yaml >"$out/one.yaml"
for backend in cpu cuda; do
    "$gdnprec" run --quiet --backend $backend --jobs 4 --seeds 1 --results "$out/one-$backend" "$out/one.yaml" >/dev/null
done
cmp "$out/one-cpu/reproduce/cells.csv" "$out/one-cuda/reproduce/cells.csv" && echo "ok      one task" || failed=1
exit $failed
