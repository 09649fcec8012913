# SPDX-License-Identifier: Apache-2.0
#
# layers.gp -- a map of the layers and heads of checkpoints: the largest storage error of a head among the profiles
# and seeds, over positions [1, T] at the largest T. Layers are the populations called NAME.layer-N. Reads last.csv.
#
#     quantity    default: y

load (ARG0[1:strlen(ARG0) - strlen('layers.gp')]).'style.gp'
if (!exists("quantity")) quantity = 'y'
figure = 'layers_'.quantity

# ---- Read ----

MOST = 256   # heads of a layer
array CELL[65536]
heads = 0; most = 0.0
is_layer(s) = strstrt(s, '.layer') > 0
is_wanted(dummy) = is_layer(text("population")) && text("quantity") eq quantity && text("kind") eq 'storage' && \
    text("flag") eq 'ok' && column("head") < MOST
note(p, h, x) = p == 0 ? 0 : (heads = max(heads, h + 1), most = max(most, x), \
    at = (p - 1) * MOST + h + 1, CELL[at] = max(CELL[at], x), 0)
do for [i = 1:65536] { CELL[i] = -1 }
stats last_csv using (is_wanted(0) ? add_population(text("population")) : 0) nooutput
if (populations == 0) { print figure.': no storage error of '.quantity.' of a layer in '.last_csv; exit status 2 }
stats last_csv using (is_wanted(0) ? note(population(text("population")), int(column("head")), column("rel_l2")) : 0) \
    nooutput
if (most == 0) { print figure.': every storage error of '.quantity.' is zero in '.last_csv; exit status 2 }

# By number within a checkpoint, whose layers stand together: an insertion sort of what SHOWN names.
array SHOWN[populations]
name(s) = s[1:strstrt(s, '.layer') - 1]
layer(s) = strlen(s) > strstrt(s, '.layer') + 6 ? int(s[strstrt(s, '.layer') + 7:*]) : 0
before(a, b) = name(a) eq name(b) && layer(a) < layer(b)
do for [i = 1:populations] {
    j = i
    while (j > 1 && before(POPULATION[i], POPULATION[SHOWN[max(j - 1, 1)]])) { SHOWN[j] = SHOWN[j - 1]; j = j - 1 }
    SHOWN[j] = i
}
set datafile nocolumnheaders
least = most
set print $D
do for [i = 1:populations] {
    do for [h = 1:heads] {
        x = CELL[(SHOWN[i] - 1) * MOST + h]
        if (x > 0) { least = min(least, x) }
        if (x >= 0) { print sprintf('%d,%d,%.9g', i, h - 1, x) }
    }
}
set print

# ---- Draw ----

longest = 0
do for [i = 1:populations] { longest = max(longest, strlen(POPULATION[i])) }
LEFT = 14.0 + 6.0 * longest; RIGHT = 78.0
WIDE = W - LEFT - RIGHT; TALL = max(populations * 16.0, 60.0)
headline = 'Storage error of '.quantity.', layer by head'
remark = 'The largest among profiles and seeds. White: exactly 0 in every profile, or without a number.'
eval measure
H = head_height + 8 + TALL + 44 + foot_height
eval begin
eval foot
eval head

@shades
set logscale cb
set cbrange [min(least, most / 10):most]   # less than a decade would make much of little
set format cb '10^{%L}'
if (most / min(least, most / 10) < 100) { set format cb '%.0e' }
set cblabel 'relative L2 error' font font11 offset -0.5, 0
bottom = 1 - (head_height + 8 + TALL) / H
set colorbox user origin (LEFT + WIDE + 10) / W, bottom size 10.0 / W, TALL / H
set lmargin at screen LEFT / W
set rmargin at screen (LEFT + WIDE) / W
set tmargin at screen 1 - (head_height + 8) / H
set bmargin at screen bottom
set xrange [-0.5:heads - 0.5]
set yrange [populations + 0.5:0.5]
set xlabel 'head' font font11 offset 0, 0.5
set xtics 0, max(1, int(heads / 32) * 4)
set ytics noenhanced
set ytics ()
do for [i = 1:populations] { set ytics add (POPULATION[SHOWN[i]] i) }
unset grid
set style fill solid 1 noborder
plot $D using 2:1:($2 - 0.46):($2 + 0.46):($1 - 0.44):($1 + 0.44):($3 > 0 ? $3 : NaN) with boxxyerror \
    fillcolor palette notitle
