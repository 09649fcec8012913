# SPDX-License-Identifier: Apache-2.0
#
# style.gp -- one look for all figures, and the few functions that every script needs.
#
# Variables a script may be given:   gnuplot -e "dir='results/quick'; out='x.svg'" plots/error_vs_length.gp
#     dir         the directory with summary.csv and the other files (required)
#     out         the file to write (default: figure.<term>)
#     term        svg (default), pdf or png
#     provenance  one line drawn small at the foot, parts set apart by ' · '
#
# A figure is one column of a paper wide: 480 pixels of an SVG stand for 85 mm (3.4 in), where its smallest
# letters have 5 points and most have 5.5.
#
# Colours: after Wong 2011 (gnuplot's podo) without its yellow, which is too pale for lines; seven of them,
# told apart also by marks and dashes, so that the figures read in greyscale and with any colour vision.

if (!exists("dir")) { print "style.gp: give dir='...', the directory that holds summary.csv"; exit status 2 }
if (!exists("term")) term = 'svg'
if (!exists("out")) out = 'figure.'.term
if (!exists("provenance")) provenance = dir

set encoding utf8
set datafile separator comma
set datafile columnheaders
set datafile missing NaN

summary_csv = dir.'/summary.csv'
last_csv = dir.'/last.csv'
heat_csv = dir.'/heat.csv'
budget_csv = dir.'/budget.csv'

# ---- Colours, points, lines ----

array COLOUR = ['#000000', '#d55e00', '#0072b2', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
# the same, dark enough for text on white (4.5 : 1)
array INK = ['#000000', '#b04600', '#00639c', '#007a57', '#a34d7d', '#8a5f00', '#22739f']
array FILLED = [7, 5, 9, 13, 11, 15, 7]
array OPEN = [6, 4, 8, 12, 10, 14, 6]
NCOLOUR = 7
colour(i) = COLOUR[(i - 1) % NCOLOUR + 1]
ink(i) = INK[(i - 1) % NCOLOUR + 1]
point(i) = (i - 1) / NCOLOUR % 2 ? OPEN[(i - 1) % NCOLOUR + 1] : FILLED[(i - 1) % NCOLOUR + 1]

GREY = '#595959'   # text beside the data: 7 : 1 on white
RULE = '#8c8c8c'   # lines beside the data
PALE = '#d9d9d9'   # grid
dash_predicted = 2
set dashtype 2 (2, 3)
set dashtype 3 (2, 4)
set dashtype 4 (10, 4, 2, 4)
set dashtype 5 (9, 3)
set dashtype 6 (5, 2)
array DASH = [1, 1, 5, 1, 6, 5, 6]
dash(i) = DASH[(i - 1) % NCOLOUR + 1]

# ---- Terminal ----

# Sizes are in pixels of the SVG; a PDF has the paper's own size, a PNG twice the pixels.
W = 480.0
px = term eq 'pdf' ? 3.4 * 72 / W : term eq 'png' ? 1.5 : 1.0
sized(size) = sprintf('sans-serif,%g', size * px)
font10 = sized(10)
font11 = sized(11)
font12 = sized(12)
font13 = sized(13)

# begin: height in pixels
thick = px * (term eq 'pdf' ? 96 / 72.0 : term eq 'png' ? 2 / 1.5 : 1)
begin = 'if (term eq "pdf") { set term pdfcairo size 3.4, 3.4 * H / W font font11 enhanced background "white" '.\
        'linewidth thick fontscale 0.75 pointscale thick dashlength thick } '.\
        'else { if (term eq "png") { set term pngcairo size 2 * W, 2 * H font font11 enhanced background "white" '.\
        'linewidth 2 pointscale 2 } '.\
        'else { set term svg size W, H font font11 enhanced background "white" name figure } } ; set output out'

# ---- Names that come from the data ----

# Lists are arrays filled while a file is read: call stats with add_profile(...) in its using.
array PROFILE[256]
array POPULATION[256]
profiles = 0
populations = 0
# Rows of a name stand together, so the last one found is asked for first: a change of the lists makes it forgotten.
last_profile = ''; last_profile_at = 0; last_population = ''; last_population_at = 0
find_profile(s) = (profiles == 0 ? 0 : sum [i = 1:profiles] (PROFILE[i] eq s ? i : 0))
find_population(s) = (populations == 0 ? 0 : sum [i = 1:populations] (POPULATION[i] eq s ? i : 0))
profile(s) = s eq last_profile ? last_profile_at : (last_profile_at = find_profile(s), last_profile = s, last_profile_at)
population(s) = s eq last_population ? last_population_at : \
    (last_population_at = find_population(s), last_population = s, last_population_at)
add_profile(s) = (profile(s) || profiles == 256 ? 0 : (profiles = profiles + 1, PROFILE[profiles] = s, last_profile = '', 0))
add_population(s) = (population(s) || populations == 256 ? 0 : \
    (populations = populations + 1, POPULATION[populations] = s, last_population = '', 0))

# The order in which well-known profiles stand, that of harness/profile.c; others follow in the order of the
# file.
known_profiles = \
    'fp32 a_log-bf16 dt_bias-bf16 norm-bf16 all-bf16 bf16-io bf16-state bf16-state-sr bf16 a-bf16 '.\
                 'a_log-bf16-pair norm-bf16-centred alpha-bf16 llamacpp vllm-decode vllm-decode-bf16-state float16-module'
known(s) = (0 + (sum [i = 1:words(known_profiles)] (word(known_profiles, i) eq s ? i : 0)))
# Stable insertion sort of PROFILE by known place.
place(s) = known(s) ? known(s) : words(known_profiles) + 1
sort_profiles = \
    'do for [i = 2:profiles] { s = PROFILE[i]; j = i - 1; while (j >= 1 && place(PROFILE[j >= 1 ? j : 1]) > place(s)) '.\
                '{ PROFILE[j + 1] = PROFILE[j]; j = j - 1 } ; PROFILE[j + 1] = s } ; last_profile = ""'

text(name) = stringcolumn(name)
number(name) = (stringcolumn(name) eq '' ? 0 : column(name))   # 0 for nothing: a NaN would drop the row
kind_code(s) = s eq 'storage' ? 1 : s eq 'arith' ? 2 : s eq 'total' ? 3 : 0

# Where nothing is stored that could be rounded (recorded outputs of others), the file has totals alone, and
# the total is the error of the arithmetic. Fill with note_split over the file, then ask side: 1 storage, 2
# arithmetic, 0 neither.
array SPLIT[256]
do for [i = 1:256] { SPLIT[i] = 0 }
note_split(p, s) = (p > 0 && s eq 'arith' ? (SPLIT[p] = 1, 0) : 0)
side(p, s) = kind_code(s) == 3 ? (p > 0 && SPLIT[max(p, 1)] == 0 ? 2 : 0) : kind_code(s)

# ---- Small helpers ----

max(a, b) = a > b ? a : b
min(a, b) = a < b ? a : b
log2(x) = log(x) / log(2)
decade_below(x) = 10.0**floor(log10(x))
decade_above(x) = 10.0**ceil(log10(x))

# s in lines of at most n characters, broken at blanks. (strlen and substrings count characters of UTF-8.)
array BREAK[1] = [0]
last_of(s, c, n) = (BREAK[1] = 0, (sum [i = 2:n] (s[i:i] eq c ? (BREAK[1] = i) : 0)), BREAK[1])
wrap(s, n) = strlen(s) <= n ? s : last_of(s, ' ', n) == 0 ? s : \
    s[1:last_of(s, ' ', n) - 1]."\n".wrap(s[last_of(s, ' ', n) + 1:*], n)
lines(s) = 1 + (sum [i = 1:strlen(s)] (s[i:i] eq "\n" ? 1 : 0))

# A name in two lines where it is longer than n characters, broken after a hyphen.
split_at(s, n) = strlen(s) <= n ? 0 : last_of(s, '-', n)   # 0: one line
first_line(s, n) = split_at(s, n) == 0 ? s : s[1:split_at(s, n)]
second_line(s, n) = split_at(s, n) == 0 ? '' : s[split_at(s, n) + 1:*]
widest_line(s, n) = max(strlen(first_line(s, n)), strlen(second_line(s, n)))

# head: the title `headline` and the `remark` below it, head_height pixels in all. foot: the provenance, foot_height
# pixels. A character takes about 5.3 pixels, of the title 7.4; a line one and a half of its font. unhead: away with
# them before the next panel.
headline = ''
remark = ''
NARROW = int((W - 16) / 5.3)
measure = 'headline_drawn = wrap(headline, int((W - 16) / 7.4)) ; remark_drawn = wrap(remark, NARROW) ; '.\
          'head_height = 14.0 + 19 * lines(headline_drawn) + 15 * lines(remark_drawn) ; '.\
          'foot_drawn = wrap(provenance, NARROW) ; foot_height = 8.0 + 15 * lines(foot_drawn)'
head = 'set label 9001 headline_drawn at screen 8.0 / W, screen 1 - 16.0 / H font font13 ; '.\
       'set label 9002 remark_drawn at screen 8.0 / W, screen 1 - (17.0 + 19 * lines(headline_drawn)) / H '.\
       'font font10 textcolor rgb GREY'
foot = 'set label 9999 foot_drawn at screen 8.0 / W, screen (foot_height - 8.0) / H noenhanced '.\
       'font font10 textcolor rgb GREY'
unhead = 'unset label 9001; unset label 9002; unset label 9999'

# Unit roundoff of the formats, for rules across a panel.
array UNIT = [2.0**-8, 2.0**-11, 2.0**-24]
array UNIT_NAME = ['u bf16', 'u fp16', 'u fp32']
array FORMAT_NAME = ['bf16', 'fp16', 'fp32']
units_said = 'Dotted rules: unit roundoff u of bf16 (2^{−8}), of fp16 and tf32 (2^{−11}), of fp32 (2^{−24}). '

# Ticks of a logarithmic axis from low to high: one a decade, a label at every n-th.
power(d) = sprintf('10^{%s%d}', d < 0 ? '−' : '', abs(d))
exponent(x) = int(floor(log10(x) + 0.5))
every_for(low, high, labels) = max(1, int(ceil(log10(high / low) / labels)))

# Colours of a map: lightness falls evenly, so that it reads in grey too.
shades = 'set palette defined (0 "#fff3df", 0.25 "#fdc58a", 0.5 "#ee7f4b", 0.75 "#b3314a", 1 "#3b0f4f")'

set grid back linecolor rgb PALE linewidth 0.5 dashtype solid
set border 3 linecolor rgb '#404040' linewidth 0.8
set tics nomirror out scale 0.4 font font10
set style fill transparent solid 0.22 noborder
unset key
