# SPDX-License-Identifier: Apache-2.0
#
# budget_stack.gp -- the error budget as stacked bars: of the squared error of all tensors in the low format, what
# share each has (its Shapley value), a bar a population and third of its heads by memory, over positions [1, T] at the
# largest T (the state: at T); beside it the error of all. Reads budget.csv.
#
#     quantity    default: y where the file has it, else o, else state

load (ARG0[1:strlen(ARG0) - strlen('budget_stack.gp')]).'style.gp'
figure = 'budget_stack'.(exists("quantity") ? '_'.quantity : '')

# ---- Read: members stand in PROFILE ----

has_y = 0; has_o = 0; base = ''; format = ''
look(s) = (has_y = has_y || s eq 'y', has_o = has_o || s eq 'o', 0)
stats budget_csv using (look(text("quantity")) + (base = text("base"), format = text("format"), 0)) nooutput
if (!exists("quantity")) quantity = has_y ? 'y' : has_o ? 'o' : 'state'

array LENGTH[256]
do for [i = 1:256] { LENGTH[i] = 0 }
widen(p, t) = (LENGTH[p] = max(LENGTH[p], t), 0)
wanted(dummy) = text("quantity") eq quantity && column("n") > 0 && number("n_shapley") > 0
stats budget_csv using (wanted(0) ? add_profile(text("member")) + add_population(text("population")) + \
    widen(population(text("population")), column("length")) : 0) nooutput
if (populations == 0) { print figure.': no shares of '.quantity.' in '.budget_csv; exit status 2 }

array WORD[4] = ['all heads', 'long memory', 'middle', 'short memory']
group_code(s) = s eq 'all' ? 1 : s eq 'long' ? 2 : s eq 'middle' ? 3 : 4
places = populations * 4
array SHARE[places * profiles]; array ERROR[places]; array LOW[places]; array HIGH[places]; array COUNT[places]
do for [i = 1:places * profiles] { SHARE[i] = 0 }
do for [i = 1:places] { ERROR[i] = -1; COUNT[i] = 0 }
take(i, m, x, e, l, h, n) = (SHARE[(i - 1) * profiles + m] = max(x, 0), ERROR[i] = e, LOW[i] = l, HIGH[i] = h, COUNT[i] = n, 0)
stats budget_csv using (wanted(0) && column("length") == LENGTH[max(population(text("population")), 1)] ? \
    take((population(text("population")) - 1) * 4 + group_code(text("group")), profile(text("member")), number("shapley"), \
    number("all"), number("all_lo"), number("all_hi"), column("n")) : 0) nooutput
set datafile nocolumnheaders

# ---- Layout: y runs down in pixels ----

BAR = 14.0; NAME = 24.0
array Y[places]
y = 0.0; widest = 1.0; lowest = 1e300; highest = 0.0
array NAME_Y[populations]
set print $S
do for [p = 1:populations] {
    y = y + NAME
    NAME_Y[p] = y - 8
    do for [g = 1:4] { i = (p - 1) * 4 + g
        Y[i] = y + BAR / 2
        if (ERROR[i] >= 0) {
            if (ERROR[i] > 0) { lowest = min(lowest, max(LOW[i], ERROR[i] / 1e3)); highest = max(highest, HIGH[i]) }
            x = 0.0
            do for [m = 1:profiles] { s = SHARE[(i - 1) * profiles + m]
                if (s > 0) { print sprintf('%d,%.9g,%.9g,%.9g', m, Y[i], 100 * x, 100 * (x + s)) }
                x = x + s }
            widest = max(widest, x)
            y = y + BAR + 1
        }
    }
}
set print
set print $E
do for [i = 1:places] { if (ERROR[i] > 0) { print sprintf('%.9g,%.9g,%.9g,%.9g', ERROR[i], Y[i], LOW[i], HIGH[i]) } }
set print
if (highest == 0) { print figure.': every error of '.quantity.' is zero in '.budget_csv; exit status 2 }
TALL = y + 4
LEFT = 86.0; PANEL = 262.0; GAP = 22.0; RIGHT = W - LEFT - PANEL - GAP - 16
headline = 'Who makes the error of '.(quantity eq 'y' ? 'layer output y' : quantity eq 'o' ? 'output o' : 'state S').' in '.format
remark = 'Bars: share of each tensor in the squared error of all in '.format.' (Shapley value over '.base.', median over heads and '.\
    'seeds; medians need not add up to 100 %). Thirds of the heads by memory, 1/γ. Right: the error of all, with its 95 % interval. '.\
    sprintf('T = %d.', LENGTH[1])
eval measure

array FILL = ['#000000', '#0b4f8a', '#a8325e', '#2f9e74', '#e69f00', '#9ad0f5', '#f7ecc0']
array OVER = ['#ffffff', '#ffffff', '#ffffff', '#000000', '#000000', '#000000', '#000000']
fill(m) = FILL[(m - 1) % 7 + 1]

# the key, in rows
KEY_ROWS = 1
array KEY_X[profiles]; array KEY_Y[profiles]
x = 8.0
do for [m = 1:profiles] { wide = 20 + 5.9 * strlen(PROFILE[m]) + 8
    if (x + wide > W) { KEY_ROWS = KEY_ROWS + 1; x = 8.0 }
    KEY_X[m] = x; KEY_Y[m] = KEY_ROWS; x = x + wide }
TOP = head_height + 15 * KEY_ROWS + 2
H = TOP + TALL + 48 + foot_height
eval begin
eval foot
eval head
do for [m = 1:profiles] { ky = 1 - (head_height + 15 * KEY_Y[m] - 7) / H
    set object m rectangle from screen KEY_X[m] / W, screen ky - 5 / H to screen (KEY_X[m] + 14) / W, screen ky + 5 / H \
        fillcolor rgb fill(m) fillstyle solid 1 border linecolor rgb '#404040' linewidth 0.6
    set label 100 + m PROFILE[m] at screen (KEY_X[m] + 18) / W, screen ky noenhanced font font10 }

set yrange [TALL:0]
set tmargin at screen 1 - TOP / H
set bmargin at screen 1 - (TOP + TALL) / H
set ytics scale 0 noenhanced font font10
set ytics ('' 0)
do for [p = 1:populations] { do for [g = 1:4] { i = (p - 1) * 4 + g; if (ERROR[i] >= 0) { set ytics add (WORD[g] Y[i]) } } }
do for [p = 1:populations] { set label 200 + p sprintf('%s, n = %d', POPULATION[p], COUNT[(p - 1) * 4 + 1]) \
    at screen (LEFT + 4) / W, first NAME_Y[p] noenhanced font font11 }
unset grid
set grid xtics back linecolor rgb PALE linewidth 0.5
set mxtics 1
set multiplot
set lmargin at screen LEFT / W
set rmargin at screen (LEFT + PANEL) / W
set xrange [0:max(105, ceil(10 * widest) * 10)]
set xtics 0, 25
set xlabel 'share of the squared error, %' font font11 offset 0, 0.5
fits(m, a, b) = (b - a) / max(105, ceil(10 * widest) * 10) * PANEL > 5.9 * strlen(PROFILE[m]) + 2
plot for [m = 1:profiles] $S using ($1 == m ? ($3 + $4) / 2 : NaN):2:3:4:($2 - BAR / 2):($2 + BAR / 2) with boxxyerror \
        fillcolor rgb fill(m) fillstyle solid 1 border linecolor rgb '#404040' linewidth 0.5 notitle, \
     for [m = 1:profiles] $S using ($1 == m && fits(m, $3, $4) ? ($3 + $4) / 2 : NaN):2:(PROFILE[m]) with labels center \
        noenhanced font font10 textcolor rgb OVER[(m - 1) % 7 + 1] notitle, \
     NaN notitle
@unhead
do for [m = 1:profiles] { unset object m; unset label 100 + m }
do for [p = 1:populations] { unset label 200 + p }
set lmargin at screen (LEFT + PANEL + GAP) / W
set rmargin at screen (W - 16.0) / W
do for [i = 1:places] { if (ERROR[i] >= 0) { set ytics add ('' Y[i]) } }
set logscale x 10
low = decade_below(lowest); high = max(decade_above(highest), 10 * low)
set xrange [low:high]
set xtics ('' low)
every = every_for(low, high, RIGHT / 34)
do for [d = 0:exponent(high / low)] { set xtics add ((d % every == 0 ? power(exponent(low) + d) : '') low * 10**d) }
set xlabel 'relative L2 error' font font11 offset 0, 0.5
do for [j = 1:3] { if (UNIT[j] > low && UNIT[j] < high) {
    set arrow j from UNIT[j], graph 0 to UNIT[j], graph 1 nohead linecolor rgb RULE linewidth 0.9 dashtype 3
    set label j UNIT_NAME[j] at UNIT[j], first 8 left offset 0.4, 0 font font10 textcolor rgb GREY } }
plot $E using 1:2:3:4 with xerrorbars linecolor rgb '#000000' linewidth 1.3 pointtype 7 pointsize 0.5 notitle, NaN notitle
unset multiplot
