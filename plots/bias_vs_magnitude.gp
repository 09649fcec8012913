# SPDX-License-Identifier: Apache-2.0
#
# bias_vs_magnitude.gp -- per profile the signed bias <d, ref> / <ref, ref> of the error d, beside its
# magnitude |d| / |ref|, a tick a head and seed, over positions [1, T] at the largest T; one row of panels per
# population. Reads last.csv and summary.csv.
#
#     quantity    default: y where the file has it, else o, else state
#
# The third panel shows bias / magnitude, the cosine between the error and the truth: -1 and 1 are a pure
# change of scale, the same at every position; at 0 the error has nothing to do with the truth. A storage
# error of the gate has one sign per head, which o shows and y less so, because out_norm takes a common factor
# away. The bias axis is linear near zero and logarithmic beyond: it shows s(x) = sgn(x) log10(1 + |x| /
# threshold). Bars: median and its 95 % interval, from summary.csv.

load (ARG0[1:strlen(ARG0) - strlen('bias_vs_magnitude.gp')]).'style.gp'
load (ARG0[1:strlen(ARG0) - strlen('bias_vs_magnitude.gp')]).'theory.gp'
figure = 'bias_vs_magnitude'.(exists("quantity") ? '_'.quantity : '')

# ---- Read: quantity, populations and lengths; then the cells themselves ----

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
stats summary_csv using (note_split(population(text("population")), text("kind"))) nooutput
@sort_profiles
set table $D separator comma
plot last_csv using \
    (population(text("population"))):(profile(text("profile"))):(side(population(text("population")), \
        text("kind"))):"rel_l2":"bias" \
    with table if (is_whole(0) && column("to") == LENGTH[max(population(text("population")), 1)] && \
                   side(population(text("population")), text("kind")) > 0 && text("flag") eq 'ok')
unset table
set table $M separator comma
plot summary_csv using \
    (population(text("population"))):(profile(text("profile"))):(side(population(text("population")), \
        text("kind"))): \
    "median":"lo":"hi":"bias":"bias_lo":"bias_hi" \
    with table if (is_whole(0) && column("to") == LENGTH[max(population(text("population")), 1)] && \
                   side(population(text("population")), text("kind")) > 0 && column("n") > 0)
unset table
set datafile nocolumnheaders
if (|$D| == 0) { print figure.': no row of '.quantity.' is fit to draw in '.last_csv; exit status 2 }

lowest = 1e300; highest = 0.0; steepest = 0.0; any_zero = 0; any_over = 0
LIMIT = 10.0   # the axis goes no farther
note(m, b) = (lowest = m > 0 ? min(lowest, m) : lowest, highest = max(highest, m), steepest = \
    max(steepest, abs(b)), \
              any_zero = any_zero || m == 0, any_over = any_over || m > LIMIT, 0)
stats $D using (note($4, $5)) nooutput
# the line of a profile among those of its population, from above; 0: it has none
array LINE[populations * profiles]; array LINES[populations]
do for [i = 1:populations * profiles] { LINE[i] = 0 }
line(p, q) = LINE[(p - 1) * profiles + q]
stats $D using (LINE[($1 - 1) * profiles + $2] = 1, 0) nooutput
do for [p = 1:populations] {
    LINES[p] = 0
    do for [q = 1:profiles] { if (line(p, q) > 0) { LINES[p] = LINES[p] + 1; LINE[(p - 1) * profiles + q] = LINES[p] } }
}
if (highest == 0) { lowest = 1e-4; highest = 1e-2 }

# ---- Layout ----

threshold = 1e-6
high = decade_above(min(max(highest, 2 * u(8)), 10))
low = min(max(decade_below(lowest), 1e-9), high / 100)
zero = low / 10**(0.06 * log10(high / low))
edge = any_zero ? low / 10**(0.12 * log10(high / low)) : low
s(x) = sgn(x) * log10(1 + abs(x) / threshold)
reach = s(high)
right_over = high * 10**(0.06 * log10(high / low))
right_edge = any_over ? high * 10**(0.12 * log10(high / low)) : high
where(m) = m == 0 ? zero : m > high ? right_over : max(m, low)

longest = 0
do for [q = 1:profiles] { longest = max(longest, strlen(PROFILE[q])) }
LEFT = 14.0 + 6.0 * longest; GAP = 13.0
PANEL = (W - LEFT - 14 - 2 * GAP) / 3
tall(p) = 24.0 * LINES[p] + 6; ABOVE = 38.0; BELOW = 8.0
headline = 'Signed bias beside magnitude: error of '.(quantity eq 'y' ? 'layer output y' : quantity eq \
    'o' ? 'output o' : 'state S')
remark = 'A tick is one head and seed over positions 1 to T; the bar is the median with its 95 % interval. '.\
    'Left: the part of the error that follows the truth; below zero the result is too small. Middle: the whole error. '.\
    'Right: their ratio; at −1 or 1 the error is a mere change of scale, at 0 it has no common part with the truth.'.\
    (any_zero ? ' Strip “0”: exactly zero.' : '').(any_over ? ' Strip “> 10”: larger than that.' : '')
eval measure
TOP = head_height + 18
H = TOP + 54 + foot_height
do for [p = 1:populations] { H = H + ABOVE + tall(p) + BELOW }
eval begin
eval foot
eval head

array TINT[2] = ['#d55e00', '#0072b2']
set label 11 '| upper: storage' at screen LEFT / W, screen 1 - (head_height + 8) / H font font11 textcolor rgb '#b04600'
set label 12 '| lower: arithmetic' at screen (LEFT + 120) / W, screen 1 - (head_height + 8) / H font font11 \
    textcolor rgb TINT[2]

height(p, q, k) = LINES[p] + 1 - line(p, q) + (k == 1 ? 0.21 : -0.21)

set ytics scale 0 noenhanced font font10
every = every_for(low, high, PANEL / 34)
decades = exponent(high / threshold)
set multiplot
top = TOP - BELOW
TALL = 0.0
do for [p = 1:populations] {
    top = top + TALL + BELOW + ABOVE
    TALL = tall(p)
    set yrange [0.4:LINES[p] + 0.6]
    do for [q = 1:profiles] { unset arrow 10 + q }
    last = p == populations
    unset xlabel
    set tmargin at screen 1 - top / H
    set bmargin at screen 1 - (top + TALL) / H
    do for [q = 1:LINES[p] - 1] { set arrow 10 + q from graph 0, first q + 0.5 to graph 1, first q + 0.5 \
        nohead \
        linecolor rgb PALE linewidth 0.5 back }

    set lmargin at screen LEFT / W
    set rmargin at screen (LEFT + PANEL) / W
    unset logscale x
    set xrange [-reach:reach]
    set xtics ('0' 0)
    do for [d = 1:decades] {
        at = exponent(threshold) + d
        set xtics add ((last && d == decades ? power(at) : '') s(10.0**at))
        set xtics add ((last && d == decades ? '−'.power(at) : '') -s(10.0**at))
    }
    if (last) { set xtics add ('0' 0) } else { set xtics add ('' 0) }
    set ytics ('' 0)
    do for [q = 1:profiles] { if (line(p, q) > 0) { set ytics add (PROFILE[q] LINES[p] + 1 - line(p, q)) } }
    if (last) { set xlabel "signed bias\n(linear below 10^{−6})" font font10 offset 0, 0.6 }
    set label 1 POPULATION[p] at graph 0, screen 1 - (top - 26) / H noenhanced font font12
    set label 2 sprintf('T = %d', LENGTH[p]) at screen (W - 14) / W, screen 1 - (top - 26) / H right font font10 textcolor \
        rgb GREY
    set arrow 1 from 0, graph 0 to 0, graph 1 nohead linecolor rgb '#404040' linewidth 0.9
    plot for [k = 1:2] $D using ($1 == p && $3 == k ? s(max(min($5, high), -high)) : NaN):(height(p, $2, k) - \
        0.16):(0):(0.32) \
            with vectors nohead linecolor rgb TINT[k] linewidth 0.9 notitle, \
         for [k = 1:2] $M using ($1 == p && $3 == k ? s(max(min($7, high), -high)) : NaN):(height(p, $2, k)): \
            (s(max(min($8, high), -high))):(s(max(min($9, high), -high))) \
            with xerrorbars linecolor rgb '#000000' linewidth 0.8 pointtype 0 notitle, NaN notitle
    @unhead
    unset label 11; unset label 12; unset label 1; unset label 2; unset arrow 1

    set lmargin at screen (LEFT + PANEL + GAP) / W
    set rmargin at screen (LEFT + 2 * PANEL + GAP) / W
    set logscale x 10
    set xrange [edge:right_edge]
    set xtics ('' low)
    do for [d = (any_zero ? 1 : 0):exponent(high / low) - (any_over ? 1 : 0)] { set xtics add \
        ((last && d % every == 1 && low * 10**d < high ? power(exponent(low) + d) : '') low * 10**d) }
    if (any_zero) { set xtics add ((last ? '0' : '') zero)
        set object 1 rectangle from edge, graph 0 to low, graph 1 behind fillcolor rgb '#ededed' fillstyle \
            solid 1 noborder }
    if (any_over) { set xtics add ((last ? '> 10' : '') right_over)
        set object 2 rectangle from high, graph 0 to right_edge, graph 1 behind fillcolor rgb '#ededed' \
            fillstyle solid 1 noborder }
    set ytics ('' 0)
    do for [q = 1:LINES[p]] { set ytics add ('' q) }
    if (last) { set xlabel "magnitude\n(relative L2 error)" font font10 offset 0, 0.6 }
    set arrow 1 from u(8), graph 0 to u(8), graph 1 nohead linecolor rgb RULE linewidth 0.9 dashtype 3
    set label 3 'u bf16' at u(8), screen 1 - (top - 8) / H center font font10 textcolor rgb GREY
    plot for [k = 1:2] $D using ($1 == p && $3 == k ? where($4) : NaN):(height(p, $2, k) - 0.16):(0):(0.32) \
            with vectors nohead linecolor rgb TINT[k] linewidth 0.9 notitle, \
         for [k = 1:2] $M using ($1 == p && $3 == k ? where($4) : NaN):(height(p, $2, \
             k)):(where($5)):(where($6)) \
            with xerrorbars linecolor rgb '#000000' linewidth 0.8 pointtype 0 notitle, NaN notitle
    unset object 1; unset object 2; unset arrow 1; unset label 3

    set lmargin at screen (LEFT + 2 * (PANEL + GAP)) / W
    set rmargin at screen (LEFT + 2 * (PANEL + GAP) + PANEL) / W
    unset logscale x
    set xrange [-1.08:1.08]
    set xtics ('' -1, '' 0, '' 1)
    if (last) { set xtics ('−1' -1, '0' 0, '1' 1) }
    if (last) { set xlabel "bias / magnitude\n " font font10 offset 0, 0.6 }
    set arrow 1 from 0, graph 0 to 0, graph 1 nohead linecolor rgb '#404040' linewidth 0.9
    plot for [k = 1:2] $D using ($1 == p && $3 == k && $4 > 0 ? $5 / $4 : NaN):(height(p, $2, k) - \
        0.16):(0):(0.32) \
            with vectors nohead linecolor rgb TINT[k] linewidth 0.9 notitle, NaN notitle
    unset arrow 1
}
unset multiplot
