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
     "Relative L2 error of the recurrence output o (before out_norm) against position: left, storage of the "
     "parameters; right, arithmetic",
     "summary.csv"},
    {"error_vs_length_y", "error_vs_length", "quantity = 'y'",
     "Relative L2 error of the layer output y (after out_norm) against position: left, storage of the "
     "parameters; right, arithmetic",
     "summary.csv"},
    {"error_vs_length_state", "error_vs_length", "quantity = 'state'",
     "Relative L2 error of the recurrent state S against position: left, storage of the parameters; right, "
     "arithmetic",
     "summary.csv"},
    {"heat_o", "heat", "quantity = 'o'",
     "Relative L2 error of the recurrence output o over position and A_log, with the memory 1/gamma_eff",
     "heat.csv"},
    {"heat_y", "heat", "quantity = 'y'",
     "Relative L2 error of the layer output y over position and A_log, with the memory 1/gamma_eff",
     "heat.csv"},
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
    {"layers_y", "layers", "quantity = 'y'",
     "Storage error of the layer output y in every layer and head of the checkpoints, the largest among "
     "profiles and "
     "seeds",
     "last.csv"},
    {"budget_stack_y", "budget_stack", "quantity = 'y'",
     "Who makes the error of the layer output y: shares of the stored tensors in the squared error of all, "
     "for all heads and for thirds of them by memory",
     "budget.csv"},
    {"budget_stack_o", "budget_stack", "quantity = 'o'",
     "Who makes the error of the recurrence output o: shares of the stored tensors", "budget.csv"},
    {"budget_stack_state", "budget_stack", "quantity = 'state'",
     "Who makes the error of the recurrent state S: shares of the stored tensors", "budget.csv"},
    {"budget_y", "budget", "quantity = 'y'",
     "Error budget of the layer output y in detail: what each stored tensor costs alone and together, its "
     "share of the "
     "squared error of all, and how much smaller the error gets where it alone is kept",
     "budget.csv"},
    {"budget_o", "budget", "quantity = 'o'", "Error budget of the recurrence output o in detail",
     "budget.csv"},
    {"budget_state", "budget", "quantity = 'state'", "Error budget of the recurrent state S in detail",
     "budget.csv"},
};
const int gdn_figure_count = sizeof gdn_figures / sizeof gdn_figures[0];
