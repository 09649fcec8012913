# SPDX-License-Identifier: Apache-2.0
#
# gate_sawtooth.gp -- relative error of the gate g that storage causes, a mark a head: against A_log where
# A_log or A is stored in bf16, against dt_bias where dt_bias is. Reads last.csv.
#
# Lines: the worst case. Half a unit in the last place of A_log = a is h(a) = 2^(floor(log2|a|) - 8), and g =
# -exp(A_log) softplus(a + dt_bias) then errs by expm1(h(a)), a staircase of binades; for A itself 2^-8.
# dt_bias = b acts through softplus, which for b << 0 is exp again: at most expm1(h(b)).

load (ARG0[1:strlen(ARG0) - strlen('gate_sawtooth.gp')]).'style.gp'
load (ARG0[1:strlen(ARG0) - strlen('gate_sawtooth.gp')]).'theory.gp'
figure = 'gate_sawtooth'

# ---- Read: storage rows of g, the widest window of each population; most heads: the population to draw ----

is_gate(dummy) = text("quantity") eq 'g' && text("kind") eq 'storage' && text("flag") eq 'ok' && \
    column("from") == 1
array WIDEST[256]
array CELLS[256]
do for [i = 1:256] { WIDEST[i] = 0; CELLS[i] = 0 }
widen(p, t) = (CELLS[p] = t > WIDEST[p] ? 0 : CELLS[p], WIDEST[p] = max(WIDEST[p], t), 0)
set table $G separator comma
plot last_csv using (add_population(text("population")) + widen(population(text("population")), \
    column("to")), \
    population(text("population"))):(add_profile(text("profile")), \
        profile(text("profile"))):"to":"a_log":"dt_bias":(abs(column("bias"))) \
    with table if (is_gate(0))
unset table
set datafile nocolumnheaders
if (populations == 0) { print figure.': no storage error of g in '.last_csv; exit status 2 }
count(p, t, e) = (CELLS[p] = CELLS[p] + (t == WIDEST[p] && e > 0 ? 1 : 0), 0)
stats $G using (count($1, $3, $6)) nooutput
shown = 1
do for [p = 2:populations] { if (CELLS[p] > CELLS[shown]) { shown = p } }
if (CELLS[shown] == 0) { print figure.': every storage error of g is zero in '.last_csv; exit status 2 }

# ---- Which profiles: the two that store A_log or A, the one that stores dt_bias; else the first three with
# an error ----

array HEADS[256]
do for [q = 1:256] { HEADS[q] = 0 }
heads(q) = (HEADS[q] = HEADS[q] + 1, 0)
low_a = 1e300; high_a = -1e300; low_b = 1e300; high_b = -1e300; highest = 0.0
extremes(a, b, e) = (low_a = min(low_a, a), high_a = max(high_a, a), low_b = min(low_b, b), high_b = \
    max(high_b, b), \
                     highest = max(highest, e), 0)
stats $G using ($1 == shown && $3 == WIDEST[shown] && $6 > 0 ? heads($2) : 0) nooutput
of_a_log = profile('a_log-bf16')
of_a = profile('a-bf16')
of_dt = profile('dt_bias-bf16')
known_ones = of_a_log > 0 || of_dt > 0
other_1 = 0; other_2 = 0; other_3 = 0
if (!known_ones) { do for [q = 1:profiles] { if (HEADS[q] > 0) {
    if (other_1 == 0) { other_1 = q } else { if (other_2 == 0) { other_2 = q } else { if (other_3 == 0) { \
        other_3 = q } } } } } }
drawn(q) = q > 0 && (q == of_a_log || q == of_a || q == of_dt || q == other_1 || q == other_2 || q == other_3)
stats $G using ($1 == shown && $3 == WIDEST[shown] && $6 > 0 && drawn($2) ? extremes($4, $5, $6) : 0) nooutput
most = 0
do for [q = 1:profiles] { if (drawn(q)) { most = max(most, HEADS[q]) } }
if (most < 20) { print figure.': fewer than 20 heads have a storage error of g in '.last_csv; exit status 2 }
one_value(low, high) = high - low < 1e-6 * max(abs(low), abs(high)) + 1e-12

# ---- Draw ----

panels = of_dt > 0 && HEADS[max(of_dt, 1)] > 0 && !one_value(low_b, high_b) && of_a_log > 0 ? 2 : 1
LEFT = 52.0; TALL = 190.0; BELOW = 50.0; ABOVE = 62.0
headline = 'Relative error of the gate g by storage in bf16'
remark = sprintf('A mark is one of up to %d heads, a line is the worst case. ', most).\
    (of_a_log ? 'Stored as A\_log, the worst case doubles at every power of two of |A\_log|. ' : '').\
    (of_a ? 'Stored as A, it is the same everywhere.' : '')
eval measure
H = head_height + panels * (ABOVE + TALL + BELOW) + foot_height
eval begin
eval foot
eval head
PANEL = W - LEFT - 14
set lmargin at screen LEFT / W
set rmargin at screen (LEFT + PANEL) / W

set logscale y 10
set yrange [1e-5:decade_above(max(6 * highest, 2 * u(8)))]
set format y '10^{%L}'
set mytics 1
set samples 2001
set ylabel '|relative error of g|' font font11 offset 1.2, 0
set key Left reverse at graph 0, screen 0.5 left bottom maxrows 2 font font10 samplen 1.6 spacing 1.15 width 2 noenhanced
top_of(row) = 1 - (head_height + ABOVE + row * (ABOVE + TALL + BELOW)) / H

envelope(a) = a == 0 ? NaN : exp(h(a, 8)) - 1
pad_a = max(0.02 * (high_a - low_a), 0.05)
pad_b = max(0.02 * (high_b - low_b), 0.05)
set multiplot
set tmargin at screen top_of(0)
set bmargin at screen top_of(0) - TALL / H
set key at graph 0, screen top_of(0) + 6 / H left bottom
set xrange [low_a - pad_a:high_a + pad_a]
set xlabel 'A\_log of the head' font font11 offset 0, 0.5
set label 1 POPULATION[shown].(known_ones ? ': A_log, or A itself, stored' : '') at graph 0, screen top_of(0) + 52 / H \
    font font12 noenhanced
# A mark is a short stroke, which makes a path of the SVG where points would make a thousand elements.
first_one = of_a_log > 0 ? of_a_log : other_1
second_one = of_a > 0 ? of_a : other_2
mark_a = 1.2 / PANEL * (high_a - low_a + 2 * pad_a)
mark_b = 1.2 / PANEL * (high_b - low_b + 2 * pad_b)
of(q) = $1 == shown && $2 == q && q > 0 && $3 == WIDEST[shown] && $6 > 0
plot $G using (of(second_one) ? $4 : NaN):(0.93 * $6):(0):(0.15 * $6) with vectors nohead linecolor rgb \
    COLOUR[3] linewidth 0.9 notitle, \
     $G using (of(first_one) ? $4 - mark_a : NaN):6:(2 * mark_a):(0) with vectors nohead linecolor rgb \
         COLOUR[2] linewidth 2.4 notitle, \
     $G using (of(other_3) ? $4 - mark_a : NaN):6:(2 * mark_a):(0) with vectors nohead linecolor rgb \
         COLOUR[4] linewidth 2.4 notitle, \
     envelope(x) with lines linecolor rgb COLOUR[1] linewidth 1.4 title \
         'worst case: expm1(h(A_log))', \
     (of_a > 0 ? u(8) : NaN) with lines linecolor rgb COLOUR[1] linewidth 1.2 dashtype 2 title (of_a > 0 ? \
         'worst case: 2^-8' : ''), \
     NaN with lines linecolor rgb COLOUR[2] linewidth 4 title (first_one ? PROFILE[max(first_one, 1)] : ''), \
     NaN with lines linecolor rgb COLOUR[3] linewidth 2 title (second_one ? PROFILE[max(second_one, 1)] : \
         ''), \
     NaN with lines linecolor rgb COLOUR[4] linewidth 4 title (other_3 ? PROFILE[max(other_3, 1)] : '')
@unhead
if (panels == 2) {
    set tmargin at screen top_of(1)
    set bmargin at screen top_of(1) - TALL / H
    set key at graph 0, screen top_of(1) + 6 / H left bottom
    set xrange [low_b - pad_b:high_b + pad_b]
    set xlabel 'dt\_bias of the head' font font11 offset 0, 0.5
    set label 1 POPULATION[shown].': dt_bias stored' at graph 0, screen top_of(1) + 52 / H font font12 noenhanced
    plot $G using (of(of_dt) ? $5 - mark_b : NaN):6:(2 * mark_b):(0) with vectors nohead linecolor rgb \
        COLOUR[4] linewidth 2.4 notitle, \
         envelope(x) with lines linecolor rgb COLOUR[1] linewidth 1.4 title \
             'worst case: expm1(h(dt_bias))', \
         NaN with lines linecolor rgb COLOUR[4] linewidth 4 title 'dt_bias-bf16'
}
unset multiplot
