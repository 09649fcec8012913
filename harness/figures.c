/* SPDX-License-Identifier: Apache-2.0 */
/* figures -- which figures there are, what each shows and from which files; see plot.h. */
#include <stddef.h>

#include "harness/plot.h"

const gdn_figure gdn_figures[] = {
    {"storage_vs_arith", "storage_vs_arith", NULL,
     "Storage, arithmetic and total error beside each other for every profile, over positions 1 to T at the "
     "largest T",
     "summary.csv"},
    {"error_vs_length_o", "error_vs_length", "quantity = 'o'",
     "Relative L2 error of the recurrence output o (before out_norm) against position: above, storage; "
     "below, "
     "arithmetic",
     "summary.csv"},
    {"error_vs_length_y", "error_vs_length", "quantity = 'y'",
     "Relative L2 error of the layer output y (after out_norm) against position, for every population: "
     "above, what "
     "storage of the parameters costs; below, what the arithmetic costs",
     "summary.csv"},
    {"error_vs_length_state", "error_vs_length", "quantity = 'state'",
     "Relative L2 error of the recurrent state S against position: above, storage; below, arithmetic",
     "summary.csv"},
    {"bias_vs_magnitude_o", "bias_vs_magnitude", "quantity = 'o'",
     "Signed bias, magnitude and their ratio for the recurrence output o: which errors have a fixed sign per "
     "head",
     "last.csv, summary.csv"},
    {"bias_vs_magnitude_y", "bias_vs_magnitude", "quantity = 'y'",
     "The same for the layer output y, where out_norm has taken common factors away",
     "last.csv, summary.csv"},
    {"gate_sawtooth", "gate_sawtooth", NULL,
     "Relative error of the gate g of single heads when A_log (or A itself) and dt_bias are stored in bf16, "
     "and the "
     "worst case in each binade",
     "last.csv"},
    {"budget_y", "budget", "quantity = 'y'",
     "Error budget of the layer output y: what each stored tensor costs alone and together, its share of the "
     "squared error of all, and how much smaller the error gets where it alone is kept",
     "budget.csv"},
    {"budget_o", "budget", "quantity = 'o'", "Error budget of the recurrence output o", "budget.csv"},
    {"budget_state", "budget", "quantity = 'state'", "Error budget of the recurrent state S", "budget.csv"},
};
const int gdn_figure_count = sizeof gdn_figures / sizeof gdn_figures[0];
