# SPDX-License-Identifier: Apache-2.0
#
# error_vs_length.gp -- relative L2 error against position, a row of panels per population: left what storage costs,
# right what the arithmetic costs, on the same axis. Reads summary.csv.
#
#     quantity    o (default), y, state, g, decay: medians over windows [2^i, 2^(i+1)) of positions, drawn at
#                 the window's geometric middle; the state also at the lengths of the experiment
#
# Band: 95 % bootstrap interval of the median. Dotted: the predicted curve. Profiles whose curves are the same
# to a part in 10^6 (storage), or of the same recipe and within a factor of 1.6 at the right end (arithmetic),
# are drawn once.

load (ARG0[1:strlen(ARG0) - strlen('error_vs_length.gp')]).'style.gp'
load (ARG0[1:strlen(ARG0) - strlen('error_vs_length.gp')]).'theory.gp'
if (!exists("quantity")) quantity = 'o'
figure = 'error_vs_length_'.quantity

# ---- Read: $D holds the rows wanted as numbers; those of a curve stand in the order of position ----

is_window(from, to) = quantity eq 'state' || from > 1 || to == 1
wanted(dummy) = text("quantity") eq quantity && kind_code(text("kind")) > 0 && is_window(column("from"), \
    column("to")) && column("n") > 0
array RECIPE[256]
array ERASED[256]   # do later keys erase what was written? not beside a needle
array DRAWN[256]
do for [i = 1:256] { ERASED[i] = 1; DRAWN[i] = 0 }
note_row(p, q, drawn) = (RECIPE[q] = text("recipe"), ERASED[p] = text("keys") eq 'needle' ? 0 : ERASED[p], \
    DRAWN[p] = DRAWN[p] || drawn, note_split(p, text("kind")))
stats summary_csv using (add_profile(text("profile")) + add_population(text("population")) + \
    note_row(population(text("population")), profile(text("profile")), wanted(0) && column("median") > 0)) nooutput
# of the populations those with something to draw
shown = 0
do for [p = 1:populations] { if (DRAWN[p]) { shown = shown + 1
    POPULATION[shown] = POPULATION[p]; ERASED[shown] = ERASED[p]; SPLIT[shown] = SPLIT[p] } }
populations = shown
last_population = ''
if (populations == 0) { print figure.': no error of '.quantity.' above zero in '.summary_csv; exit status 2 }
array NAME_OF[profiles]   # recipes go with profiles when these are sorted
do for [q = 1:profiles] { NAME_OF[q] = PROFILE[q].' '.RECIPE[q] }
@sort_profiles
do for [q = 1:profiles] { do for [r = 1:profiles] { if (NAME_OF[r][1:strlen(PROFILE[q]) + 1] eq PROFILE[q].' ') { \
    RECIPE[q] = NAME_OF[r][strlen(PROFILE[q]) + 2:*] } } }

set table $D separator comma
plot summary_csv using \
    (population(text("population"))):(profile(text("profile"))):(side(population(text("population")), \
        text("kind"))): \
    (sqrt(column("from") * column("to"))):"median":"lo":"hi":(number("predicted")):(number("gamma_eff")):"n" \
    with table if (wanted(0) && side(population(text("population")), text("kind")) > 0 && \
        population(text("population")) > 0)
unset table
set datafile nocolumnheaders
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

# ---- Layout: panels side by side, storage and arithmetic of a population or, where there is only one kind, two
# populations ----

set logscale x 2
set logscale y 10
if (HIGHEST[1] == 0 && HIGHEST[2] == 0) { LOWEST[1] = 1e-4; HIGHEST[1] = 1e-2 }
highest = max(HIGHEST[1], HIGHEST[2])
CEILING = decade_above(min(max(highest, 2 * u(8)), 10))
FLOOR = decade_below(min(CEILING * 1e-3, max(min(LOWEST[1], LOWEST[2]), min(1e-8, 1e-5 * CEILING))))
graph_y(y) = log10(y / FLOOR) / log10(CEILING / FLOOR)
within(y) = min(max(y, FLOOR), CEILING)
outside(y) = y < FLOOR || y > CEILING
alike(p, q, k) = (0 + (sum [r = 1:profiles] (JOINED[code(p, r, k)] == q ? 1 : 0)))
ending(p, q, k) = (alike(p, q, k) ? sprintf(' +%d', alike(p, q, k)) : '').\
                  (outside(END[code(p, q, k)]) ? (END[code(p, q, k)] < FLOOR ? ' ↓' : ' ↑') : '')
LONGEST_LINE = 15
label_of(p, q, k) = PROFILE[q].ending(p, q, k)
lines_of(p, q, k) = split_at(label_of(p, q, k), LONGEST_LINE) > 0 ? 2 : 1

wide = 0; tall = 0
array CURVES[2 * populations]
do for [p = 1:populations] { do for [k = 1:2] {
    m = 0; CURVES[2 * p - 2 + k] = 0
    do for [q = 1:profiles] { if (END[code(p, q, k)] > 0 && JOINED[code(p, q, k)] == 0) {
        CURVES[2 * p - 2 + k] = CURVES[2 * p - 2 + k] + 1
        m = m + 11.5 * lines_of(p, q, k); wide = max(wide, widest_line(label_of(p, q, k), LONGEST_LINE)) } }
    tall = max(tall, m)
}}
cells = rows == 2 ? 2 * populations : populations
bands = (cells + 1) / 2
LEFT = 40.0; LABELS = 5.7 * wide + 17; BETWEEN = 6.0; ABOVE = 32.0; BELOW = 8.0
PANEL = (W - LEFT - 2 * LABELS - BETWEEN) / 2
TALL = max(bands > 6 ? 100.0 : bands > 4 ? 128.0 : 150.0, tall)

what = quantity eq 'o' ? 'output o' : quantity eq 'y' ? 'layer output y' : \
       quantity eq 'state' ? 'state S' : quantity
headline = 'Relative L2 error of the '.what.' against position'
any_memory = 0
shows_memory(p) = ERASED[p] && MEMORY[p] > 1.5 && MEMORY[p] < last_x
do for [p = 1:populations] { any_memory = any_memory || shows_memory(p) }
any_joined = 0; any_outside = 0
do for [c = 1:codes] { any_joined = any_joined || JOINED[c] > 0
    any_outside = any_outside || (END[c] > 0 && outside(END[c])) }
remark = (rows == 2 ? 'Left: parameters rounded for storage. Right: steps rounded in the arithmetic. ' : \
    SHOWN[1] ? 'Storage: rounded parameters; the arithmetic has no error here. ' : \
    'Arithmetic: rounded steps; storage has no error here. ').\
    'Line: median over heads and seeds; band: its 95 % interval; dots: predicted beforehand. '.\
    (yardstick && SHOWN[1] ? 'Thick grey: arithmetic of bf16-io, for scale. ' : '').\
    (any_memory ? 'Dash-dotted: 1/γ_{eff}, the tokens that the median head remembers. ' : '').units_said.\
    (any_joined ? '+k: k more profiles on this curve. ' : '').\
    (any_outside ? 'Arrow: beyond the axis. ' : '').\
    (fewer ? '×: some heads have no number, because the truth is zero or a result is not finite.' : '')
eval measure
TOP = head_height + 24
H = TOP + bands * (TALL + ABOVE + BELOW) + 32 + foot_height
eval begin
eval foot
eval head

left_of(i) = (LEFT + i * (PANEL + LABELS + BETWEEN)) / W
top_of(row) = 1 - (TOP + ABOVE + row * (TALL + ABOVE + BELOW)) / H

# Slope guides, at the scale of every panel.
decade_x = PANEL / (log10(last_x / first_x * 1.21)); decade_y = TALL / log10(CEILING / FLOOR)
run = min(1.0, 16 / decade_y)
guide_x = W - 150.0; guide_y = H - head_height - 24
set label 91 'slopes 1 and 1/2:' at screen (guide_x - 4) / W, screen (guide_y + 7) / H right font font10 textcolor rgb GREY
set arrow 91 from screen guide_x / W, screen guide_y / H to screen (guide_x + run * decade_x) / W, \
    screen (guide_y + run * decade_y) / H nohead linecolor rgb '#000000' linewidth 0.9
set arrow 92 from screen guide_x / W, screen guide_y / H to screen (guide_x + run * decade_x) / W, \
    screen (guide_y + run * decade_y / 2) / H nohead linecolor rgb '#000000' linewidth 0.9
set label 92 '∝ t' at screen (guide_x + run * decade_x + 3) / W, screen (guide_y + run * decade_y) / H font font10 \
    textcolor rgb GREY
set label 93 '∝ √t' at screen (guide_x + run * decade_x + 3) / W, screen (guide_y + run * decade_y / 2 - 2) / H font font10 \
    textcolor rgb GREY

# ---- Labels at the ends of curves, moved apart ----

array WHO[256]; array AT[256]; array NEED[256]
do for [i = 1:256] { WHO[i] = 1; AT[i] = 0; NEED[i] = 0 }   # read once even where a panel has no curve
array KIND[2] = ['storage', 'arithmetic']

set xrange [first_x / 1.1:last_x * 1.1]
set yrange [FLOOR:CEILING]
tick = last_x / first_x >= 4096 ? 64 : last_x / first_x >= 256 ? 16 : last_x / first_x >= 8 ? 4 : 2
set xtics 1, tick
set mytics 1
every = every_for(FLOOR, CEILING, TALL / 24)
set style fill transparent solid 0.15 noborder
set multiplot
do for [cell = 1:cells] {
    p = rows == 2 ? (cell + 1) / 2 : cell
    k = rows == 2 ? (cell - 1) % 2 + 1 : SHOWN[1] ? 1 : 2
    i = (cell - 1) % 2
    row = (cell - 1) / 2
    set lmargin at screen left_of(i)
    set rmargin at screen left_of(i) + PANEL / W
    set tmargin at screen top_of(row)
    set bmargin at screen top_of(row) - TALL / H
    if (cell + 2 > cells) { set xlabel 'position t' font font11 offset 0, 0.6; set format x '2^{%L}' } \
    else { unset xlabel; set format x '' }
    set ytics ('' FLOOR)
    do for [d = 0:exponent(CEILING / FLOOR)] { set ytics add ((i == 0 && d % every == 0 ? power(exponent(FLOOR) + d) : '') FLOOR * 10**d) }
    unset label 1
    if (rows == 1 || k == 1) { set label 1 POPULATION[p] at screen left_of(i) - (i == 0 ? (LEFT - 8) / W : 0), \
        screen top_of(row) + 22 / H noenhanced font font12 }
    memory_said = shows_memory(p) ? sprintf('1/γ_{eff} = %.0f', MEMORY[p]) : ''
    set label 2 (rows == 1 ? '' : KIND[k].', ').sprintf('n = %d', COUNT[p]).(rows == 1 && shows_memory(p) ? ', '.memory_said : '') \
        at graph 0, screen top_of(row) + 8 / H font font10 textcolor rgb GREY

    # Collect the curves of this panel, lowest end first.
    m = 0
    do for [q = 1:profiles] { a = code(p, q, k)
        if (END[a] > 0 && JOINED[a] == 0) { m = m + 1; WHO[m] = q; AT[m] = graph_y(within(END[a])) } }
    do for [a = 2:m] { b = a
        while (b > 1 && AT[max(b - 1, 1)] > AT[b]) { s = AT[b]; AT[b] = AT[b - 1]; AT[b - 1] = s
            s = WHO[b]; WHO[b] = WHO[b - 1]; WHO[b - 1] = s; b = b - 1 } }
    do for [a = 1:m] { NEED[a] = 11.0 * lines_of(p, WHO[a], k) / TALL }
    if (m > 0) { AT[1] = max(AT[1], NEED[1] / 2 - 0.03) }
    do for [a = 2:m] { AT[a] = max(AT[a], AT[a - 1] + (NEED[a - 1] + NEED[a]) / 2) }
    if (m > 0) { AT[m] = min(AT[m], 1.04 - NEED[m] / 2)
        do for [b = 1:m - 1] { a = m - b; AT[a] = min(AT[a], AT[a + 1] - (NEED[a] + NEED[a + 1]) / 2) } }

    do for [a = 1:40] { unset arrow a; unset label 100 + a; unset label 200 + a }
    do for [a = 1:m] { q = WHO[a]
        lift = (lines_of(p, q, k) - 1) * 5.5 / TALL
        set label 100 + a first_line(label_of(p, q, k), LONGEST_LINE) at graph 1 + 12 / PANEL, graph AT[a] + lift \
            noenhanced font font10 textcolor rgb ink(q)
        set label 200 + a second_line(label_of(p, q, k), LONGEST_LINE) at graph 1 + 12 / PANEL, graph AT[a] - lift \
            noenhanced font font10 textcolor rgb ink(q)
        set arrow a from first LAST[code(p, q, k)], graph graph_y(within(END[code(p, q, k)])) to \
            graph 1 + 10 / PANEL, graph AT[a] nohead linecolor rgb colour(q) linewidth 0.6 }

    # Scale: unit roundoffs, memory.
    do for [j = 30:39] { unset label j }
    do for [j = 1:3] { if (UNIT[j] > FLOOR && UNIT[j] < CEILING) {
        set arrow 30 + j from graph 0, first UNIT[j] to graph 1, first UNIT[j] nohead linecolor rgb RULE linewidth 0.8 dashtype 3 front
        if (rows == 1 ? i == 0 : (k == 2) == (CURVES[2 * p] < CURVES[2 * p - 1])) { set label 30 + j UNIT_NAME[j] at graph 0.02, first UNIT[j] offset 0, (j == 1 ? 0.4 : -0.45) front font font10 textcolor rgb GREY }
    }}
    if (m == 0) { set label 35 (k == 1 && SPLIT[p] == 0 ? "nothing stored\nis varied" : "every error\nis zero") \
        at graph 0.55, 0.42 center font font10 textcolor rgb GREY }
    if (shows_memory(p)) {
        set arrow 36 from first MEMORY[p], graph 0 to first MEMORY[p], graph 1 nohead linecolor rgb RULE \
            linewidth 0.9 dashtype 4
        if (rows == 2 && i == 1) { set label 36 memory_said \
            at screen left_of(i) + (PANEL + LABELS) / W, screen top_of(row) + 23 / H right font font10 textcolor rgb GREY }
    }
    # the rows of this panel: fewer to read for every curve
    set print $C
    print '0,0,0,0,0,0,0,0,0,0'   # an empty table would be none
    set print
    set table $C append separator comma
    plot $D using 1:2:3:4:5:6:7:8:9:10 with table if ($1 == p && $3 == k)
    unset table
    plot for [a = 1:m] $C using ($2 == WHO[a] && $6 > 0 ? $4 : NaN):(within($6)):(within($7)) \
             with filledcurves linecolor rgb colour(WHO[a]) notitle, \
         $D using (k == 1 && yardstick > 0 && $1 == p && $2 == yardstick && $3 == 2 ? $4 : NaN):5 with lines \
             linecolor rgb '#bdbdbd' linewidth 3 notitle, \
         for [a = 1:m] $C using ($2 == WHO[a] && $5 > 0 ? $4 : NaN):5 \
             with linespoints linecolor rgb colour(WHO[a]) linewidth 1.5 dashtype dash(WHO[a]) pointtype point(WHO[a]) \
                 pointsize 0.45 pointinterval 3 notitle, \
         for [a = 1:m] $C using ($2 == WHO[a] && $8 > 0 ? $4 : NaN):8 \
             with lines linecolor rgb '#000000' linewidth 1.1 dashtype dash_predicted notitle, \
         for [a = 1:m] $C using ($2 == WHO[a] && $5 > 0 && $10 < COUNT[p] ? $4 : NaN):5 \
             with points linecolor rgb '#000000' linewidth 0.8 pointtype 2 pointsize 0.45 notitle, \
         NaN notitle
    @unhead
    if (cell == 1) { do for [j = 91:93] { unset label j; unset arrow j } }
}
unset multiplot
