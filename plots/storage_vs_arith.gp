# SPDX-License-Identifier: Apache-2.0
#
# storage_vs_arith.gp -- per profile the error that storage causes beside that of the arithmetic and the
# total, over positions [1, T] at the largest T of each population; one panel per population. Reads
# summary.csv.
#
#     quantity    default: y where the file has it, else o, else state
#
# What has no place on a logarithmic axis stands in a strip at its edge: an error of exactly zero, an error
# below what the reference can tell from zero, a result that is not finite, an error above 10.

load (ARG0[1:strlen(ARG0) - strlen('storage_vs_arith.gp')]).'style.gp'
load (ARG0[1:strlen(ARG0) - strlen('storage_vs_arith.gp')]).'theory.gp'
figure = 'storage_vs_arith'

# ---- Read ----

has_y = 0; has_o = 0
look(s) = (has_y = has_y || s eq 'y', has_o = has_o || s eq 'o', 0)
stats summary_csv using (look(text("quantity"))) nooutput
if (!exists("quantity")) quantity = has_y ? 'y' : has_o ? 'o' : 'state'

array LENGTH[256]
do for [i = 1:256] { LENGTH[i] = 0 }
widen(p, t) = (LENGTH[p] = max(LENGTH[p], t), 0)
is_whole(dummy) = text("quantity") eq quantity && (quantity eq 'state' ? column("from") == column("to") : \
    column("from") == 1)
stats summary_csv using (is_whole(0) ? add_profile(text("profile")) + add_population(text("population")) + \
    widen(population(text("population")), column("to")) : 0) nooutput
if (populations == 0) { print figure.': no rows of '.quantity.' in '.summary_csv; exit status 2 }
@sort_profiles

# place of a row: 0 on the axis, 1 exact zero, 2 below the reference, 3 not finite, 4 nothing to say
fate(n, m, below, infinite) = n > 0 ? (m > 0 ? 0 : 1) : below > 0 ? 2 : infinite > 0 ? 3 : 4
set table $D separator comma
plot summary_csv using \
    (population(text("population"))):(profile(text("profile"))):(kind_code(text("kind"))): \
    (number("median")):(number("lo")):(number("hi")):"n":(fate(column("n"), number("median"), \
        number("n_below"), number("n_nonfinite"))) \
    with table if (is_whole(0) && column("to") == LENGTH[max(population(text("population")), 1)] && \
        kind_code(text("kind")) > 0)
unset table
set datafile nocolumnheaders

LIMIT = 10.0   # the axis goes no farther
lowest = 1e300; highest = 0.0; any_over = 0; any_zero = 0; any_below = 0; any_infinite = 0
array COUNT[256]
do for [i = 1:256] { COUNT[i] = 0 }
note(p, m, hi, n, f) = (lowest = f == 0 ? min(lowest, m) : lowest, highest = f == 0 ? max(highest, hi) : highest, \
    any_zero = any_zero || f == 1, any_over = any_over || (f == 0 && hi > LIMIT), any_below = any_below || f == 2, \
    any_infinite = any_infinite || f == 3, COUNT[p] = max(COUNT[p], n), 0)
stats $D using (note($1, $4, $6, $7, $8)) nooutput
if (highest == 0) { lowest = 1e-4; highest = 1e-2 }

# ---- Layout: the axis runs from low to high, strips of 1.3 decades at its edges ----

low = max(decade_below(lowest), 1e-12)
high = decade_above(min(max(highest, 2 * u(8)), LIMIT))
high = max(high, low * 100)
STRIP = 10**(0.1 * (log10(high / low)) + 0.3)
left_zero = low / STRIP**0.6
left_below = any_zero ? left_zero / STRIP : left_zero
left_edge = any_zero || any_below ? (any_below ? left_below : left_zero) / STRIP**0.6 : low
right_over = high * STRIP**0.6
right_infinite = any_over ? right_over * STRIP : right_over
right_edge = any_over || any_infinite ? (any_infinite ? right_infinite : right_over) * STRIP**0.6 : high
where(m, f) = f == 0 ? (m > high ? right_over : max(m, low)) : f == 1 ? left_zero : f == 2 ? left_below : \
              f == 3 ? right_infinite : NaN

# ---- Layout ----

longest = 0
do for [q = 1:profiles] { longest = max(longest, strlen(PROFILE[q])) }
columns = min(populations, 2)
bands = (populations + columns - 1) / columns
LEFT = 14.0 + 6.0 * longest; GAP = 12.0
PANEL = (W - LEFT - 14 - GAP * (columns - 1)) / columns
ROW = 23.0; TALL = ROW * profiles + 6; ABOVE = 36.0; BELOW = 8.0
headline = 'Storage beside arithmetic: error of '.(quantity eq 'y' ? 'layer output y' : quantity eq 'o' ? 'output o' : \
    'state S')
one_length = 1
do for [p = 2:populations] { one_length = one_length && LENGTH[p] == LENGTH[1] }
remark = 'Relative L2 error at '.(one_length ? sprintf('T = %d', LENGTH[1]) : 'the largest length T').': median over heads and seeds with its 95 % interval. Total: the two '.\
    'together. Dotted rules: unit roundoff u of bf16 (2^{−8}), fp16 and tf32 (2^{−11}), fp32 (2^{−24}). '.\
    (any_zero ? 'Strip “0”: exactly zero. ' : '').\
    (any_below ? 'Strip “< ref”: not told from zero by the reference. ' : '').\
    (any_over ? 'Strip “> 10”: larger than that. ' : '').\
    (any_infinite ? 'Strip “inf”: no result is finite.' : '')
eval measure
TOP = head_height + 18
H = TOP + bands * (TALL + ABOVE + BELOW) + 40 + foot_height
eval begin
eval foot
eval head

array MARK[3] = [5, 6, 12]
array TINT[3] = ['#d55e00', '#0072b2', '#000000']
array SHIFT[3] = [0.27, 0.0, -0.27]

set logscale x 10
set xrange [left_edge:right_edge]
set yrange [0.4:profiles + 0.6]
set mxtics 1
set ytics scale 0 noenhanced font font10
key_y = 1 - (head_height + 8) / H
set label 11 '■ storage' at screen LEFT / W, screen key_y font font11 textcolor rgb '#b04600'
set label 12 '○ arithmetic' at screen (LEFT + 80) / W, screen key_y font font11 textcolor rgb TINT[2]
set label 13 '◇ total' at screen (LEFT + 175) / W, screen key_y font font11 textcolor rgb TINT[3]

every = every_for(low, high, PANEL / 40)
set multiplot
do for [p = 1:populations] {
    i = (p - 1) % columns
    row = (p - 1) / columns
    top = TOP + ABOVE + row * (TALL + ABOVE + BELOW)
    set lmargin at screen (LEFT + i * (PANEL + GAP)) / W
    set rmargin at screen (LEFT + i * (PANEL + GAP) + PANEL) / W
    set tmargin at screen 1 - top / H
    set bmargin at screen 1 - (top + TALL) / H
    set ytics ('' 0)
    do for [q = 1:profiles] { set ytics add ((i == 0 ? PROFILE[q] : '') profiles + 1 - q) }
    last = p + columns > populations
    if (last) { set xlabel 'relative L2 error' font font11 offset 0, 0.4 } else { unset xlabel }
    set xtics ('' low)
    from_decade = any_zero || any_below ? 1 : 0
    do for [d = from_decade:exponent(high / low) - (right_edge > high ? 1 : 0)] { \
        set xtics add ((last && (d - from_decade) % every == 0 && low * 10**d < high ? power(exponent(low) + d) : '') low * 10**d) }
    if (any_zero) { set xtics add ((last ? '0' : '') left_zero) }
    if (any_below) { set xtics add ((last ? '< ref' : '') left_below) }
    if (any_over) { set xtics add ((last ? '> 10' : '') right_over) }
    if (any_infinite) { set xtics add ((last ? 'inf' : '') right_infinite) }
    set label 1 POPULATION[p] at graph 0, screen 1 - (top - 26) / H noenhanced font font12
    size = (one_length ? '' : sprintf('T = %d, ', LENGTH[p])).sprintf('n = %d', COUNT[p])
    if (6.5 * strlen(POPULATION[p]) + 5.5 * strlen(size) + 6 < PANEL) {
        set label 2 size at graph 1, screen 1 - (top - 26) / H right font font10 textcolor rgb GREY
    } else {   # beside a long name there is no room: below it
        set label 2 size at graph 0, screen 1 - (top - 7) / H left font font10 textcolor rgb GREY }
    if (left_edge < low) { set object 1 rectangle from left_edge, graph 0 to low, graph 1 behind fillcolor \
        rgb '#ededed' fillstyle solid 1 noborder }
    if (right_edge > high) { set object 2 rectangle from high, graph 0 to right_edge, graph 1 behind \
        fillcolor rgb '#ededed' fillstyle solid 1 noborder }
    do for [j = 1:3] { if (UNIT[j] > low && UNIT[j] < high) {
        set arrow j from UNIT[j], graph 0 to UNIT[j], graph 1 nohead linecolor rgb RULE linewidth 0.9 dashtype 3
        eval 'set label 2 + j FORMAT_NAME[j] at UNIT[j], screen 1 - (top - 7) / H '.(j == 1 ? 'left' : 'right').\
            ' font font10 textcolor rgb GREY' } }
    do for [q = 1:profiles - 1] { set arrow 10 + q from left_edge, first q + 0.5 to right_edge, first q + \
        0.5 nohead linecolor rgb PALE linewidth 0.5 back }
    plot for [k = 1:3] $D using ($1 == p && $3 == k && $8 == 0 ? where($4, 0) : NaN):(profiles + 1 - $2 + \
        SHIFT[k]):(where($5, 0)):(where($6, 0)) \
            with xerrorbars linecolor rgb TINT[k] linewidth 1.4 pointtype MARK[k] pointsize 0.55 notitle, \
         for [k = 1:3] $D using ($1 == p && $3 == k && $8 > 0 ? where($4, $8) : NaN):(profiles + 1 - $2 + \
             SHIFT[k]) \
            with points linecolor rgb TINT[k] linewidth 1.4 pointtype MARK[k] pointsize 0.55 notitle, \
         NaN notitle
    @unhead
    unset label 11; unset label 12; unset label 13
}
unset multiplot
