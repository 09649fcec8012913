# SPDX-License-Identifier: Apache-2.0
#
# error_vs_length.gp -- relative L2 error against position, one column of panels per population: above what
# storage costs, below what the arithmetic costs. Reads summary.csv.
#
#     quantity    o (default), y, state, g, decay: medians over windows [2^i, 2^(i+1)) of positions, drawn at
#                 the window's geometric middle; the state also at the lengths of the experiment
#
# Band: 95 % bootstrap interval of the median. Dashed: the predicted curve. Profiles whose curves are the same
# to a part in 10^6 (storage), or of the same recipe and within a factor of 1.6 at the right end (arithmetic),
# are drawn once.

load (ARG0[1:strlen(ARG0) - strlen('error_vs_length.gp')]).'style.gp'
load (ARG0[1:strlen(ARG0) - strlen('error_vs_length.gp')]).'theory.gp'
if (!exists("quantity")) quantity = 'o'
figure = 'error_vs_length_'.quantity

# ---- Read: $R holds the rows wanted as numbers, $D the same in the order of position ----

is_window(from, to) = quantity eq 'state' || from > 1 || to == 1
wanted(dummy) = text("quantity") eq quantity && kind_code(text("kind")) > 0 && is_window(column("from"), \
    column("to")) && column("n") > 0
stats summary_csv using (add_profile(text("profile"))) nooutput
stats summary_csv using (wanted(0) && column("median") > 0 ? add_population(text("population")) : 0) nooutput
if (populations == 0) { print figure.': no error of '.quantity.' above zero in '.summary_csv; exit status 2 }
stats summary_csv using (note_split(population(text("population")), text("kind"))) nooutput
@sort_profiles

array RECIPE[256]
note_recipe(p, s) = (RECIPE[p] = s, 0)
stats summary_csv using (note_recipe(profile(text("profile")), text("recipe"))) nooutput
array ERASED[256]   # do later keys erase what was written? not beside a needle
do for [i = 1:256] { ERASED[i] = 1 }
note_keys(p, s) = (p > 0 && s eq 'needle' ? (ERASED[p] = 0, 0) : 0)
stats summary_csv using (note_keys(population(text("population")), text("keys"))) nooutput

set table $R separator comma
plot summary_csv using \
    (population(text("population"))):(profile(text("profile"))):(side(population(text("population")), \
        text("kind"))): \
    (sqrt(column("from") * column("to"))):"median":"lo":"hi":(number("predicted")):(number("gamma_eff")):"n" \
    with table if (wanted(0) && side(population(text("population")), text("kind")) > 0 && \
        population(text("population")) > 0)
unset table
set datafile nocolumnheaders
set table $D append separator comma
do for [k = 0:63] { plot $R using 1:2:3:4:5:6:7:8:9:10 with table if (floor(2 * log2($4) + 1e-9) == k) }
unset table

# ---- What is drawn: END and START of the curve of (population, profile, kind), by code ----

code(p, q, k) = ((p - 1) * profiles + q - 1) * 2 + k
codes = populations * profiles * 2
array START[codes]; array END[codes]; array MIDDLE[codes]; array JOINED[codes]; array LAST[codes]
array MEMORY[populations]; array COUNT[populations]
do for [i = 1:codes] { START[i] = 0; END[i] = 0; MIDDLE[i] = 0; JOINED[i] = 0; LAST[i] = 1 }
do for [i = 1:populations] { MEMORY[i] = 0; COUNT[i] = 0 }
first_x = 1e300
last_x = 1.0
array LOWEST[2]; array HIGHEST[2]
do for [k = 1:2] { LOWEST[k] = 1e300; HIGHEST[k] = 0 }
note(c, x, m) = (START[c] = START[c] > 0 ? START[c] : m, END[c] = m, MIDDLE[c] = MIDDLE[c] + m, LAST[c] = x, \
                 first_x = min(first_x, x), last_x = max(last_x, x), 0)
range(k, m) = (LOWEST[k] = min(LOWEST[k], m), HIGHEST[k] = max(HIGHEST[k], m), 0)
population_note(p, g, n) = (MEMORY[p] = g > 0 ? 1.0 / g : MEMORY[p], COUNT[p] = max(COUNT[p], n), 0)
stats $D using ($5 > 0 ? note(code($1, $2, $3), $4, $5) + range($3, $5) + population_note($1, $9, $10) : \
    0) nooutput
stats $D using ($8 > 0 && $4 >= 4 ? range($3, $8) : 0) nooutput

fewer = 0
note_fewer(p, n) = (fewer = fewer || n < COUNT[p], 0)
stats $D using ($5 > 0 ? note_fewer($1, $10) : 0) nooutput

close(a, b, tolerance) = abs(log(a / b)) <= tolerance
same_storage(a, b) = close(END[a], END[b], 1e-6) && close(START[a], START[b], 1e-6) && close(MIDDLE[a], \
    MIDDLE[b], 1e-6)
same(a, b, q, r, k) = k == 1 ? same_storage(a, b) : RECIPE[q] eq RECIPE[r] && close(END[a], END[b], 0.5)
# JOINED: 0 on its own, else the profile whose curve serves.
do for [p = 1:populations] { do for [k = 1:2] { do for [q = 2:profiles] { do for [r = 1:q - 1] {
    a = code(p, q, k); b = code(p, r, k)
    if (END[a] > 0 && END[b] > 0 && JOINED[a] == 0 && JOINED[b] == 0) { if (same(a, b, q, r, k)) { \
        JOINED[a] = r } }
}}}}

# A kind without an error above zero has no row of panels.
array SHOWN[2]
do for [k = 1:2] { SHOWN[k] = HIGHEST[k] > 0 }
rows = SHOWN[1] + SHOWN[2]

# The yardstick in the storage panels: the arithmetic of bf16-io where it was measured.
yardstick = profile('bf16-io')

# ---- Layout ----

columns = min(populations, 4)
bands = (populations + columns - 1) / columns     # of a row of panels a kind
longest = 0
do for [q = 1:profiles] { longest = max(longest, strlen(PROFILE[q])) }
LEFT = 64.0; PANEL = 205.0; LABELS = max(112.0, 6.6 * longest + 34); TALL = 270.0; GAP = 98.0
HEAD = (columns > 3 ? 108.0 : 128.0); FOOT = 62.0
W = max(700, 10.0 + LEFT + columns * (PANEL + LABELS) + 14.0 * (columns - 1))
H = HEAD + bands * rows * (TALL + GAP) + FOOT - 40
eval begin
eval foot

left_of(i) = (LEFT + i * (PANEL + LABELS + 14.0)) / W
top_of(row) = 1 - (HEAD + row * (TALL + GAP)) / H

set logscale x 2
set logscale y 10
set format x '2^{%L}'
set format y '10^{%L}'
tick = last_x / first_x >= 1024 ? 16 : last_x / first_x >= 8 ? 4 : 2
set xtics tick
set mytics 1

array FLOOR[2]; array CEILING[2]
do for [k = 1:2] {
    if (HIGHEST[k] == 0) { LOWEST[k] = 1e-4; HIGHEST[k] = 1e-2 }
    CEILING[k] = decade_above(min(max(HIGHEST[k], 2 * u(8)), 10))
    FLOOR[k] = decade_below(max(LOWEST[k], min(k == 1 ? 1e-6 : 1e-8, 1e-4 * CEILING[k])))
    FLOOR[k] = min(FLOOR[k], CEILING[k] * 1e-2)
}
guide_above = CEILING[1] / FLOOR[1] > 1e4   # room above the curves for the slope guides
graph_y(y, k) = log10(y / FLOOR[k]) / log10(CEILING[k] / FLOOR[k])

what = quantity eq 'o' ? 'output o' : quantity eq 'y' ? 'layer output y (after out\_norm)' : \
       quantity eq 'state' ? 'state S' : quantity
noun = 'position t (tokens)'
headline = 'Relative L2 error of the '.what.' against position'
remark = 'Colour: median over heads and seeds, band: its 95 % bootstrap interval. Black dashes: predicted before the run. '.\
    (yardstick ? 'Thick grey: arithmetic error of bf16-io, for scale. ' : '').\
    'u: unit roundoff of bf16. c u: one typical rounding to bf16 (0.17 %). 1/γ_{eff}: memory of the median head, in tokens. '.\
    '“+k”: k more profiles share the curve. '.(fewer ? '×: heads are missing there, whose truth is zero or '.\
    'whose result is not finite. ' : '').(SHOWN[1] ? '' : 'No storage error here: arithmetic alone is drawn. ').\
    (SHOWN[2] ? '' : 'No arithmetic error here: storage alone is drawn. ').'Arrow: beyond the axis.'
eval head

# ---- Labels at the ends of curves, moved apart ----

array WHO[256]; array AT[256]
do for [i = 1:256] { WHO[i] = 1; AT[i] = 0 }   # read once even where a panel has no curve
array KIND[2] = ['storage: rounded parameters', 'arithmetic: rounded steps']

alike(p, q, k) = (0 + (sum [r = 1:profiles] (JOINED[code(p, r, k)] == q ? 1 : 0)))
within(y, k) = min(max(y, FLOOR[k]), CEILING[k])
outside(p, q, k) = END[code(p, q, k)] < FLOOR[k] || END[code(p, q, k)] > CEILING[k]
ending(p, q, k) = (alike(p, q, k) ? sprintf(' +%d', alike(p, q, k)) : '').\
                  (outside(p, q, k) ? (END[code(p, q, k)] < FLOOR[k] ? ' ↓' : ' ↑') : '')

set style fill transparent solid 0.15 noborder
set multiplot
do for [p = 1:populations] { do for [k = (SHOWN[1] ? 1 : 2):(SHOWN[2] ? 2 : 1)] {
    i = (p - 1) % columns
    row = ((p - 1) / columns) * rows + (rows == 2 ? k - 1 : 0)
    set lmargin at screen left_of(i)
    set rmargin at screen left_of(i) + PANEL / W
    set tmargin at screen top_of(row)
    set bmargin at screen top_of(row) - TALL / H
    set xrange [first_x / 1.1:last_x * 1.1]
    set yrange [FLOOR[k]:CEILING[k]]
    set xlabel noun font font12 offset 0, 0.4
    if (i == 0) { set ylabel 'relative L2 error' font font12 offset 1, 0 } else { unset ylabel }
    if (i == 0) { set format y '10^{%L}' } else { set format y '' }
    set label 1 POPULATION[p] at graph 0, 1.10 noenhanced font font13
    eval 'set label 2 KIND[k].(k == 1 || rows == 1 ? sprintf("; n = %d", COUNT[p]) : "") at graph 0, 1.04 font font11 textcolor rgb GREY'

    # Collect the curves of this panel, lowest end first.
    m = 0
    do for [q = 1:profiles] { a = code(p, q, k)
        if (END[a] > 0 && JOINED[a] == 0) { m = m + 1; WHO[m] = q; AT[m] = graph_y(within(END[a], k), k) } }
    do for [a = 2:m] { b = a
        while (b > 1 && AT[max(b - 1, 1)] > AT[b]) { s = AT[b]; AT[b] = AT[b - 1]; AT[b - 1] = s
            s = WHO[b]; WHO[b] = WHO[b - 1]; WHO[b - 1] = s; b = b - 1 } }
    step = 14.0 / TALL
    do for [a = 2:m] { AT[a] = max(AT[a], AT[a - 1] + step) }
    if (m > 0) { if (AT[m] > 1) { AT[m] = 1.0 } ; do for [b = 1:m - 1] { a = m - b; AT[a] = min(AT[a], \
        AT[a + 1] - step) } }

    do for [a = 1:40] { unset arrow a; unset label 100 + a }
    do for [a = 1:m] { q = WHO[a]
        set label 100 + a PROFILE[q].ending(p, q, k) at graph 1.075, AT[a] noenhanced font font11 \
            textcolor rgb ink(q)
        set arrow a from first LAST[code(p, q, k)], graph graph_y(within(END[code(p, q, k)], k), k) to \
            graph 1.065, graph AT[a] nohead \
            linecolor rgb colour(q) linewidth 0.6 }

    # Scale: unit roundoff, one typical rounding, memory, slopes.
    set arrow 31 from graph 0, first u(8) to graph 1, first u(8) nohead linecolor rgb GREY linewidth 0.8 \
        dashtype 3
    set arrow 32 from graph 0, first c * u(8) to graph 1, first c * u(8) nohead linecolor rgb GREY \
        linewidth 0.8 dashtype 3
    unset label 30; unset label 31; unset label 32; unset label 33; unset label 34; unset label 35
    if (m == 0) { set label 30 (k == 1 && SPLIT[p] == 0 ? 'nothing stored is varied here' : \
        'every error is zero') at graph 0.5, 0.5 center \
        font font11 textcolor rgb GREY }
    set label 31 'u = 2^{−8}' at graph 0.02, first u(8) offset 0, 0.45 front font font10 textcolor rgb GREY
    set label 32 'c u' at graph 0.02, first c * u(8) offset 0, -0.45 front font font10 textcolor rgb GREY
    if (ERASED[p] && MEMORY[p] > 1.5 && MEMORY[p] < last_x) {
        set arrow 33 from first MEMORY[p], graph 0 to first MEMORY[p], graph 1 nohead linecolor rgb GREY \
            linewidth 0.8 dashtype 4
        set label 33 sprintf('1/γ_{eff}  = %.0f', MEMORY[p]) at first MEMORY[p], graph 0.02 offset -0.6, 0 \
            rotate by 90 font font10 \
            textcolor rgb GREY
    }
    if (k == 1 && last_x / first_x >= 64) {
        gx = guide_above ? first_x * 2 : last_x / 18.0
        gy = guide_above ? CEILING[k] / 40 : FLOOR[k] * 1.3
        set arrow 34 from first gx, first gy to first gx * 8, first gy * 8 nohead linecolor rgb GREY \
            linewidth 1
        set arrow 35 from first gx, first gy to first gx * 8, first gy * sqrt(8) nohead linecolor rgb GREY \
            linewidth 1
        set label 34 '∝ t' at first gx * 9, first gy * 8 font font10 textcolor rgb GREY
        set label 35 '∝ √t' at first gx * 9, first gy * sqrt(8) font font10 textcolor rgb GREY
    }
    show_yardstick = k == 1 && yardstick > 0
    plot for [a = 1:m] $D using ($1 == p && $2 == WHO[a] && $3 == k && $6 > 0 ? $4 : NaN):(within($6, \
        k)):(within($7, k)) \
             with filledcurves linecolor rgb colour(WHO[a]) notitle, \
         for [a = 1:m] $D using ($1 == p && $2 == WHO[a] && $3 == k && $5 > 0 ? $4 : NaN):5 \
             with linespoints linecolor rgb colour(WHO[a]) linewidth 1.5 pointtype point(WHO[a]) pointsize \
                 0.5 notitle, \
         for [a = 1:m] $D using ($1 == p && $2 == WHO[a] && $3 == k && $8 > 0 ? $4 : NaN):8 \
             with lines linecolor rgb '#000000' linewidth 0.9 dashtype dash_predicted notitle, \
         for [a = 1:m] $D using ($1 == p && $2 == WHO[a] && $3 == k && $5 > 0 && $10 < COUNT[p] ? $4 : NaN):5 \
             with points linecolor rgb '#000000' linewidth 0.8 pointtype 2 pointsize 0.45 notitle, \
         $D using (show_yardstick && $1 == p && $2 == yardstick && $3 == 2 ? $4 : NaN):5 with lines \
             linecolor rgb GREY linewidth 2.5 notitle, \
         NaN notitle
    @unhead
}}
unset multiplot
