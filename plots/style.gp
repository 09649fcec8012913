# SPDX-License-Identifier: Apache-2.0
#
# style.gp -- one look for all figures, and the few functions that every script needs.
#
# Variables a script may be given:   gnuplot -e "dir='results/quick'; out='x.svg'" plots/error_vs_length.gp
#     dir         the directory with summary.csv and last.csv (required)
#     out         the file to write (default: figure.<term>)
#     term        svg (default), pdf or png
#     provenance  one line drawn small at the foot, parts set apart by ' · '
#
# Colours: after Wong 2011 (gnuplot's podo) without its yellow, which is too pale for lines; seven of them,
# told apart also by point type, so that the figures read in greyscale and with any colour vision.

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

GREY = '#767676'   # text and rules beside the data: 4.5 : 1 on white
PALE = '#d9d9d9'   # grid
dash_predicted = 2
set dashtype 2 (5, 4)
set dashtype 3 (2, 4)
set dashtype 4 (10, 4, 2, 4)

# ---- Terminal ----

# Sizes are in pixels of the SVG; the other terminals are scaled to look the same.
px = term eq 'svg' ? 1.0 : 0.75
sized(size) = sprintf('sans-serif,%g', size * px)
font10 = sized(10)
font11 = sized(11)
font12 = sized(12)
font13 = sized(13)
font15 = sized(15)

# begin: width and height in pixels
begin = 'if (term eq "pdf") { set term pdfcairo size W / 96.0, H / 96.0 font font13 enhanced background "white" } '.\
        'else { if (term eq "png") { set term pngcairo size W, H font font13 enhanced background "white" } '.\
        'else { set term svg size W, H font font13 enhanced background "white" name figure } } ; set output out'

# ---- Names that come from the data ----

# Lists are arrays filled while a file is read: call stats with add_profile(...) in its using.
array PROFILE[256]
array POPULATION[256]
profiles = 0
populations = 0
profile(s) = (profiles == 0 ? 0 : sum [i = 1:profiles] (PROFILE[i] eq s ? i : 0))
population(s) = (populations == 0 ? 0 : sum [i = 1:populations] (POPULATION[i] eq s ? i : 0))
add_profile(s) = (profile(s) || profiles == 256 ? 0 : (profiles = profiles + 1, PROFILE[profiles] = s, 0))
add_population(s) = \
    (population(s) || populations == 256 ? 0 : (populations = populations + 1, POPULATION[populations] = \
        s, 0))

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
                '{ PROFILE[j + 1] = PROFILE[j]; j = j - 1 } ; PROFILE[j + 1] = s }'

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
last_blank(s, n) = (BREAK[1] = 0, (sum [i = 2:n] (s[i:i] eq ' ' ? (BREAK[1] = i) : 0)), BREAK[1])
wrap(s, n) = strlen(s) <= n ? s : last_blank(s, n) == 0 ? s : s[1:last_blank(s, n) - \
    1]."\n".wrap(s[last_blank(s, n) + 1:*], n)

# head: the title `headline` and the `remark` below it. foot: the provenance. W is the width in pixels; a
# character of the smaller fonts takes 5.9 and 5.4 of them. unhead: away with them before the next panel.
headline = ''
remark = ''
head = 'set label 9001 headline at screen 10.0 / W, screen 1 - 18.0 / H font font15 ; '.\
       'set label 9002 wrap(remark, int((W - 20) / 5.9)) at screen 10.0 / W, screen 1 - 38.0 / H font font11 textcolor rgb GREY'
foot = 'set label 9999 wrap(provenance, int((W - 20) / 5.4)) at screen 10.0 / W, screen 24.0 / H noenhanced '.\
       'font font10 textcolor rgb GREY'
unhead = 'unset label 9001; unset label 9002; unset label 9999'

set grid back linecolor rgb PALE linewidth 0.6 dashtype solid
set border 3 linecolor rgb '#404040' linewidth 0.8
set tics nomirror out scale 0.5 font font12
set style fill transparent solid 0.22 noborder
unset key
