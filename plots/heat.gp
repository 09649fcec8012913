# SPDX-License-Identifier: Apache-2.0
#
# heat.gp -- maps of the relative L2 error over position and A_log, a row of maps per population. Reads heat.csv.
#
#     quantity    default: y where the file has it, else o
#
# Up to three profiles by what their storage costs, in the order of style.gp, and those whose arithmetic costs
# most; of maps that are the same one is drawn, and none in which the error varies by less than a factor of 4.
# Populations whose heads lie in fewer than three bins have no row. Line: the memory 1 / gamma_eff of a bin's heads.

load (ARG0[1:strlen(ARG0) - strlen('heat.gp')]).'style.gp'
figure = 'heat'.(exists("quantity") ? '_'.quantity : '')

# ---- Read ----

has_y = 0
look(s) = (has_y = has_y || s eq 'y', 0)
stats heat_csv using (look(text("quantity"))) nooutput
if (!exists("quantity")) quantity = has_y ? 'y' : 'o'

low_bin = 1e9; high_bin = -1e9; first_window = 99; last_window = 0
wanted(dummy) = text("quantity") eq quantity && column("median") > 0
window(from) = int(log2(from) + 0.5)
extent(a, t) = (low_bin = min(low_bin, a), high_bin = max(high_bin, a), first_window = min(first_window, window(t)), \
    last_window = max(last_window, window(t)), 0)
stats heat_csv using (wanted(0) ? add_profile(text("profile")) + add_population(text("population")) + \
    extent(column("a_log"), column("from")) : 0) nooutput
if (populations == 0) { print figure.': no error of '.quantity.' above zero in '.heat_csv; exit status 2 }
@sort_profiles
low_bin = max(low_bin, high_bin - 23)   # of wider ranges the upper part
bins = int(high_bin - low_bin) + 1

array ERASED[populations]; array FILLED_BINS[populations]; array BOTTOM[populations]; array TOPMOST[populations]
do for [p = 1:populations] { ERASED[p] = 1; FILLED_BINS[p] = 0; BOTTOM[p] = 1e9; TOPMOST[p] = -1e9 }
array SEEN[populations * bins]; array RATE[populations * bins]
do for [i = 1:populations * bins] { SEEN[i] = 0; RATE[i] = 0 }
slot(p, a) = (p - 1) * bins + int(a - low_bin) + 1
meet(p, a, g, s) = a < low_bin ? 0 : (FILLED_BINS[p] = FILLED_BINS[p] + (SEEN[slot(p, a)] == 0), SEEN[slot(p, a)] = 1, \
    BOTTOM[p] = min(BOTTOM[p], a), TOPMOST[p] = max(TOPMOST[p], a + 1), RATE[slot(p, a)] = g > 0 ? g : RATE[slot(p, a)], ERASED[p] = s eq 'needle' ? 0 : ERASED[p], 0)
stats heat_csv using (wanted(0) ? meet(population(text("population")), column("a_log"), number("gamma_eff"), \
    text("keys")) : 0) nooutput

set table $R separator comma
plot heat_csv using (population(text("population"))):(profile(text("profile"))):(kind_code(text("kind"))): \
    (window(column("from"))):"a_log":"median" with table if (wanted(0) && column("a_log") >= low_bin && \
    FILLED_BINS[max(population(text("population")), 1)] >= 3)
unset table
set datafile nocolumnheaders
if (|$R| == 0) { print figure.': no population with heads in three bins of A_log in '.heat_csv; exit status 2 }

# ---- Which maps ----

array LEAST[2 * profiles]; array MOST[2 * profiles]; array SUM[2 * profiles]; array TAKEN[2 * profiles]
do for [c = 1:2 * profiles] { LEAST[c] = 1e300; MOST[c] = 0; SUM[c] = 0; TAKEN[c] = 0 }
code(q, k) = 2 * (q - 1) + k
note(c, x) = (LEAST[c] = min(LEAST[c], x), MOST[c] = max(MOST[c], x), SUM[c] = SUM[c] + log(x), 0)
stats $R using (note(code($2, $3), $6)) nooutput
WIDTH = 4
array SHOWN[WIDTH]
shown = 0
fresh(c) = TAKEN[c] == 0 && MOST[c] > 4 * LEAST[c] && \
    (shown == 0 || 0 == (sum [i = 1:shown] (abs(SUM[SHOWN[i]] - SUM[c]) < 0.01 * abs(SUM[c]) && SHOWN[i] % 2 == c % 2)))
any_arith = 0
do for [q = 1:profiles] { any_arith = any_arith || fresh(code(q, 2)) }
do for [q = 1:profiles] { if (shown < WIDTH - any_arith && fresh(code(q, 1))) {
    shown = shown + 1; SHOWN[shown] = code(q, 1); TAKEN[code(q, 1)] = 1 } }
do for [i = 1:WIDTH] { if (shown < WIDTH) {
    best = 0
    do for [q = 1:profiles] { if (fresh(code(q, 2))) { if (best == 0) { best = code(q, 2) } else { \
        if (MOST[code(q, 2)] > MOST[best]) { best = code(q, 2) } } } }
    if (best > 0) { shown = shown + 1; SHOWN[shown] = best; TAKEN[best] = 1 }
}}
if (shown == 0) { print figure.': no error of '.quantity.' that varies in '.heat_csv; exit status 2 }
least = 1e300; most = 0.0
do for [i = 1:shown] { least = min(least, LEAST[SHOWN[i]]); most = max(most, MOST[SHOWN[i]]) }
most = min(decade_above(most), 1.0)   # where all is wrong anyway
least = max(decade_below(least), most * 1e-6)

# ---- Layout ----

array ROW[populations]
rows = 0
do for [p = 1:populations] { if (FILLED_BINS[p] >= 3) { rows = rows + 1; ROW[rows] = p } }
any_line = 0
set print $L
do for [p = 1:populations] { if (ERASED[p]) { do for [b = 1:bins] { if (RATE[(p - 1) * bins + b] > 0) {
    any_line = 1
    print sprintf('%d,%.9g,%.9g', p, log2(1 / RATE[(p - 1) * bins + b]), low_bin + b - 0.5) } }
    print '' } }
print '0,0,0'
set print
LEFT = 46.0; GAP = 8.0
PANEL = min(200.0, (W - LEFT - 14 - GAP * (shown - 1)) / shown)
ABOVE = 26.0; NAMES = 30.0
array DOWN[populations + 1]   # where a row begins, in pixels
DOWN[1] = 0
tall(p) = max(44.0, 8.0 * (TOPMOST[p] - BOTTOM[p]))
do for [r = 1:rows] { DOWN[r + 1] = DOWN[r] + ABOVE + tall(ROW[r]) }
headline = 'Error of '.(quantity eq 'y' ? 'layer output y' : 'output o').' over position and A\_log'
remark = 'Shade: relative L2 error, median of the heads and seeds in a unit interval of A\_log, over positions t to 2t − 1. '.\
    'White: no error above zero, or no head. '.(any_line ? 'Line: 1/γ_{eff}, the tokens that these heads remember, for keys in all '.\
    'directions. ' : '').'Rows share the scale.'
eval measure
TOP = head_height + NAMES
H = TOP + DOWN[rows + 1] + 88 + foot_height
eval begin
eval foot
eval head

@shades
set logscale cb
set cbrange [least:most]
set xrange [first_window:last_window + 1]
set mcbtics 1
unset grid
set style fill solid 1 noborder
inside(x) = min(max(x, least), most)
# a hair wider than its place, so that no light shines between two
PAD = 0.02
set multiplot
do for [r = 1:rows] { do for [i = 1:shown] {
    p = ROW[r]; c = SHOWN[i]; q = (c + 1) / 2; k = c - 2 * (q - 1)
    top = TOP + DOWN[r] + ABOVE
    TALL = tall(p)
    set yrange [BOTTOM[p]:TOPMOST[p]]
    set tmargin at screen 1 - top / H
    set bmargin at screen 1 - (top + TALL) / H
    set lmargin at screen (LEFT + (i - 1) * (PANEL + GAP)) / W
    set rmargin at screen (LEFT + (i - 1) * (PANEL + GAP) + PANEL) / W
    unset label 1; unset label 3; unset label 4; unset ylabel; unset xlabel
    if (i == 1) { set label 1 POPULATION[p] at graph 0, screen 1 - (top - 9) / H noenhanced font font12
        set ylabel 'A\_log' font font11 offset 1.2, 0 }
    set ytics ('' BOTTOM[p])
    do for [a = int(BOTTOM[p]):int(TOPMOST[p])] { if (a % 4 == 0 || (a % 2 == 0 && TALL < 60)) { \
        set ytics add ((i == 1 ? sprintf('%s%d', a < 0 ? '−' : '', abs(a)) : '') a) } }
    if (r == 1) {
        set label 3 PROFILE[q] at graph 0.5, screen 1 - (TOP - 19) / H center noenhanced font font10
        set label 4 (k == 1 ? 'storage' : 'arithmetic') at graph 0.5, screen 1 - (TOP - 5) / H center font font10 \
            textcolor rgb GREY }
    set xtics ('' first_window)
    do for [t = first_window:last_window + 1] { if (t % 4 == 0) { set xtics add ((r == rows ? sprintf('2^{%d}', t) : '') t) } }
    if (r == rows) { set xlabel 'position t' font font11 offset 0, 0.6 }
    if (r == rows && i == shown) {
        set colorbox horizontal user origin LEFT / W, (foot_height + 24) / H size 180.0 / W, 9.0 / H
        set format cb '10^{%L}'
        set cbtics font font10 offset 0, 0.5
        set label 5 'relative L2 error'.(most == 1 ? ' (darkest: 1 and more)' : '') at screen (LEFT + 192) / W, screen (foot_height + 28) / H font font10
    } else { unset colorbox }
    plot $R using ($1 == p && code($2, $3) == c ? $4 + 0.5 : NaN):($5 + 0.5):($4 - PAD):($4 + 1 + PAD):($5 - PAD): \
            ($5 + 1 + PAD):(inside($6)) with boxxyerror fillcolor palette notitle, \
         $L using ($1 == p ? $2 : NaN):3 with lines linecolor rgb '#ffffff' linewidth 3 notitle, \
         $L using ($1 == p ? $2 : NaN):3 with lines linecolor rgb '#000000' linewidth 1.3 notitle, \
         NaN notitle
    @unhead
}}
unset multiplot
