# SPDX-License-Identifier: Apache-2.0
#
# budget.gp -- the error budget: what each stored tensor costs alone, how the damage of all of them together
# divides among them, and how much of it goes away where one alone is kept; one row of panels per population,
# over positions [1, T] at the largest T (the state: at T). Reads budget.csv.
#
#     quantity    default: y where the file has it, else o, else state
#
# Left, on a logarithmic axis: every member alone, the root-sum-square of these, and all at once; where the
# last two agree the errors are independent and the budget adds up. Middle: Shapley value of each member as a
# share of the squared error of all. Right: how much smaller the error of all is without the member, for all
# heads and by thirds of the heads' decay rate gamma.

load (ARG0[1:strlen(ARG0) - strlen('budget.gp')]).'style.gp'
figure = 'budget'.(exists("quantity") ? '_'.quantity : '')

# ---- Read: members stand in PROFILE ----

has_y = 0; has_o = 0; base = ''; format = ''
look(s) = (has_y = has_y || s eq 'y', has_o = has_o || s eq 'o', 0)
stats budget_csv using (look(text("quantity")) + (base = text("base"), format = text("format"), 0)) nooutput
if (!exists("quantity")) quantity = has_y ? 'y' : has_o ? 'o' : 'state'

array LENGTH[256]
do for [i = 1:256] { LENGTH[i] = 0 }
widen(p, t) = (LENGTH[p] = max(LENGTH[p], t), 0)
stats budget_csv using (text("quantity") eq quantity && column("n") > 0 ? add_profile(text("member")) + \
    add_population(text("population")) + widen(population(text("population")), column("length")) : 0) nooutput
if (populations == 0) { print figure.': no rows of '.quantity.' in '.budget_csv; exit status 2 }

group_code(s) = s eq 'all' ? 1 : s eq 'long' ? 2 : s eq 'middle' ? 3 : 4
wanted(dummy) = text("quantity") eq quantity && column("n") > 0 && \
    column("length") == LENGTH[max(population(text("population")), 1)]
# of each member in each group of heads: single, shapley, relief
set table $D separator comma
plot budget_csv using \
    (population(text("population"))):(profile(text("member"))):(group_code(text("group"))): \
    (number("single")):(number("single_lo")):(number("single_hi")): \
    (number("shapley")):(number("shapley_lo")):(number("shapley_hi")): \
    (number("relief")):(number("relief_lo")):(number("relief_hi")):"n_shapley": \
    (column("best") + column("sure")) \
    with table if (wanted(0))
unset table
# of each population: rss, all, none
set table $E separator comma
plot budget_csv using \
    (population(text("population"))):(number("rss")):(number("rss_lo")):(number("rss_hi")): \
    (number("all")):(number("all_lo")):(number("all_hi")):(number("none")):"n" \
    with table if (wanted(0) && text("group") eq 'all' && profile(text("member")) == 1)
unset table
set datafile nocolumnheaders

lowest = 1e300; highest = 0.0; leftmost = 0.0; rightmost = 1.0; deepest = 0.0; any_group = 0; any_best = 0; any_sure = 0
array COUNT[256]
array NOTHING[256]   # error of the base
array BEST[256]
array SURE[256]
do for [i = 1:256] { COUNT[i] = 0; NOTHING[i] = 0; BEST[i] = 0; SURE[i] = 0 }
low_of(x) = x > 0 ? x : 1e300
note_member(p, m, g, best) = (any_group = any_group || g > 1, deepest = min(deepest, $11), \
    lowest = g > 1 ? lowest : min(lowest, low_of($4)), highest = g > 1 ? highest : max(highest, $6), \
    leftmost = g > 1 ? leftmost : min(leftmost, $8), rightmost = g > 1 ? rightmost : max(rightmost, $9), \
    BEST[p] = g == 1 && best > 0 ? m : BEST[p], SURE[p] = g == 1 && best > 1 ? 1 : SURE[p], \
    any_sure = any_sure || (g == 1 && best > 1), any_best = any_best || (g == 1 && best == 1), 0)
stats $D using (note_member($1, $2, $3, $14)) nooutput
note_whole(p) = (lowest = min(lowest, min(low_of($2), low_of($5))), highest = max(highest, max($4, $7)), \
    NOTHING[p] = $8, COUNT[p] = $9, 0)
stats $E using (note_whole($1)) nooutput
if (highest == 0) { lowest = 1e-4; highest = 1e-2 }

# ---- Layout ----

low = max(decade_below(lowest), 1e-12)
high = decade_above(min(highest, 10) * 6)   # room for the number at a bar's end
high = max(high, low * 100)
leftmost = max(floor(leftmost * 5) / 5.0, -1)
rightmost = min(ceil(rightmost * 5) / 5.0, 2)
deepest = max(floor(deepest * 5) / 5.0, -1)

longest = 15   # 'root-sum-square'
do for [q = 1:profiles] { longest = max(longest, strlen(PROFILE[q]) + 2) }
LEFT = 14.0 + 6.0 * longest; GAP = 14.0
PANEL = (W - LEFT - 16 - 2 * GAP) * 0.46; SIDE = (W - LEFT - 16 - 2 * GAP) * 0.27
TALL = 21.0 * (profiles + 2) + 12; ABOVE = 30.0; BELOW = 8.0
headline = 'Error budget of '.(quantity eq 'y' ? 'layer output y' : quantity eq 'o' ? 'output o' : \
    'state S').' in '.format.', tensor by tensor'
remark = 'Base: '.base.'. Median over heads and seeds with its 95 % interval. Left: one tensor alone in '. \
    format.', the root-sum-square of these, and all at once; dotted: none of them. '. \
    'Middle: each one’s share of the squared error of all (Shapley value; medians need not add up to 100 %). '. \
    'Right: how much smaller the error of all gets where this one alone is kept as in the base'. \
    (any_group ? ', for all heads and for thirds of them by decay rate.' : '.'). \
    (profile('qk') ? ' qk costs next to nothing where zipf keys or a needle lie along axes, which bf16 holds.' : ''). \
    (any_sure ? ' ▸ keeping this one helps most.' : '').(any_best ? ' ▹ it seems to, but the intervals leave it open.' : '')
eval measure
TOP = head_height + (any_group ? 18 : 0)
H = TOP + populations * (TALL + ABOVE + BELOW) + 54 + foot_height
eval begin
eval foot
eval head

ALONE = '#0072b2'; TOGETHER = '#404040'; SHARE = '#d55e00'
array TINT[4] = ['#000000', '#009e73', '#e69f00', '#cc79a7']
array MARK[4] = [13, 5, 7, 9]
array SHIFT[4] = [0.30, 0.10, -0.10, -0.30]
array WORD[4] = ['all heads', 'long memory', 'middle', 'short memory']
array OVER[4] = [0, 85, 185, 255]   # pixels
array SIGN[4] = ['◆', '■', '●', '▲']
if (any_group) {
    do for [g = 1:4] {
        set label 10 + g SIGN[g].' '.WORD[g] at \
            screen (W - 360 + OVER[g]) / W, screen 1 - (head_height + 8) / H \
            font font10 textcolor rgb (g == 1 ? '#000000' : g == 2 ? '#007a57' : g == 3 ? '#8a5f00' : '#a34d7d')
    }
}

place_of(m) = profiles + 3.2 - m
amount(x) = x >= 1e-5 ? sprintf('%.2g %%', 100 * x) : sprintf('%.0e', x)
inside(x) = min(max(x, low), high)
tick(a, b) = b - a > 0.9 ? 0.5 : 0.25
every = every_for(low, high, PANEL / 36)

set yrange [0.4:profiles + 2.9]
set mxtics 1
set multiplot
do for [p = 1:populations] {
    top = TOP + ABOVE + (p - 1) * (TALL + ABOVE + BELOW)
    last = p == populations
    unset xlabel
    set tmargin at screen 1 - top / H
    set bmargin at screen 1 - (top + TALL) / H
    set label 1 POPULATION[p] at screen LEFT / W, screen 1 - (top - 12) / H noenhanced font font12
    set label 2 sprintf('T = %d, n = %d', LENGTH[p], COUNT[p]) at screen (W - 16) / W, screen 1 - (top - 12) / H \
        right font font10 textcolor rgb GREY

    # left: errors
    set lmargin at screen LEFT / W
    set rmargin at screen (LEFT + PANEL) / W
    set logscale x 10
    set xrange [low:high]
    set xtics ('' low)
    do for [d = 0:exponent(high / low)] { set xtics add ((last && d % every == 0 ? power(exponent(low) + d) : '') low * 10**d) }
    if (last) { set xlabel "relative L2 error\n " font font10 offset 0, 0.6 }
    set ytics scale 0 noenhanced font font10
    set ytics ('root-sum-square' 2, 'all at once' 1)
    do for [q = 1:profiles] { set ytics add ((BEST[p] != q ? '' : SURE[p] ? '▸ ' : '▹ ').PROFILE[q] place_of(q)) }
    set arrow 1 from graph 0, first 2.6 to graph 1, first 2.6 nohead linecolor rgb PALE linewidth 0.8 back
    set arrow 2 from inside(NOTHING[p]), graph 0 to inside(NOTHING[p]), graph 1 nohead linecolor rgb RULE \
        linewidth 0.9 dashtype 3
    plot $D using ($1 == p && $3 == 1 ? low : NaN):(place_of($2)):(low):(inside($4)):(place_of($2) - \
            0.33):(place_of($2) + 0.33) with boxxyerror linecolor rgb ALONE fillstyle solid 0.35 noborder notitle, \
         $D using ($1 == p && $3 == 1 ? inside($4) : NaN):(place_of($2)):(inside($5)):(inside($6)) \
            with xerrorbars linecolor rgb ALONE linewidth 1.4 pointtype 7 pointsize 0.5 notitle, \
         $D using ($1 == p && $3 == 1 ? inside($6) : NaN):(place_of($2)):(amount($4)) \
            with labels left offset 0.6, 0 font font10 textcolor rgb '#404040' notitle, \
         $E using ($1 == p ? low : NaN):(2):(low):(inside($2)):(1.67):(2.33) \
            with boxxyerror linecolor rgb TOGETHER fillstyle solid 0.2 noborder notitle, \
         $E using ($1 == p ? inside($2) : NaN):(2):(inside($3)):(inside($4)) \
            with xerrorbars linecolor rgb TOGETHER linewidth 1.4 pointtype 6 pointsize 0.5 notitle, \
         $E using ($1 == p ? inside($4) : NaN):(2):(amount($2)) \
            with labels left offset 0.6, 0 font font10 textcolor rgb '#404040' notitle, \
         $E using ($1 == p ? low : NaN):(1):(low):(inside($5)):(0.67):(1.33) \
            with boxxyerror linecolor rgb TOGETHER fillstyle solid 0.6 noborder notitle, \
         $E using ($1 == p ? inside($5) : NaN):(1):(inside($6)):(inside($7)) \
            with xerrorbars linecolor rgb '#000000' linewidth 1.4 pointtype 7 pointsize 0.5 notitle, \
         $E using ($1 == p ? inside($7) : NaN):(1):(amount($5)) \
            with labels left offset 0.6, 0 font font10 textcolor rgb '#404040' notitle, \
         NaN notitle
    @unhead
    do for [g = 1:4] { unset label 10 + g }
    unset label 1; unset label 2; unset arrow 2
    unset logscale x
    set ytics ('' 0)

    # middle: Shapley shares
    set lmargin at screen (LEFT + PANEL + GAP) / W
    set rmargin at screen (LEFT + PANEL + GAP + SIDE) / W
    set xrange [leftmost:rightmost]
    step = tick(leftmost, rightmost)
    set xtics ('' 0)
    do for [i = int(ceil(leftmost / step)):int(floor(rightmost / step))] { set xtics add \
        ((last ? sprintf('%d', int(100 * step) * i) : '') step * i) }
    if (last) { set xlabel "share of the\nsquared error, %" font font10 offset 0, 0.6 }
    set arrow 3 from 0, graph 0 to 0, graph 1 nohead linecolor rgb GREY linewidth 0.9
    plot $D using ($1 == p && $3 == 1 && $13 > 0 ? 0 : NaN):(place_of($2)):(0):7:(place_of($2) - \
            0.33):(place_of($2) + 0.33) with boxxyerror linecolor rgb SHARE fillstyle solid 0.35 noborder notitle, \
         $D using ($1 == p && $3 == 1 && $13 > 0 ? $7 : NaN):(place_of($2)):8:9 \
            with xerrorbars linecolor rgb SHARE linewidth 1.4 pointtype 7 pointsize 0.5 notitle, \
         NaN notitle

    # right: relief, by groups of heads
    set lmargin at screen (LEFT + PANEL + 2 * GAP + SIDE) / W
    set rmargin at screen (LEFT + PANEL + 2 * GAP + 2 * SIDE) / W
    set xrange [deepest:1]
    step = tick(deepest, 1)
    set xtics ('' 0)
    do for [i = int(ceil(deepest / step)):int(1 / step)] { set xtics add \
        ((last ? sprintf('%d', int(100 * step) * i) : '') step * i) }
    if (last) { set xlabel "error of all\nshrinks by, %" font font10 offset 0, 0.6 }
    plot for [g = 1:4] $D using ($1 == p && $3 == g ? $10 : NaN):(place_of($2) + (any_group ? SHIFT[g] : \
            0)):11:12 with xerrorbars linecolor rgb TINT[g] linewidth (g == 1 ? 1.6 : 1.1) pointtype MARK[g] \
            pointsize (g == 1 ? 0.6 : 0.45) notitle, \
         NaN notitle
    unset arrow 3
}
unset multiplot
