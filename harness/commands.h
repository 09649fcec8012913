/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands -- the words after `gdnprec`. Each parses its own options (argp), does its work and returns a
 * status with one sentence in err; main() prints it and turns it into the exit code.
 */
#ifndef GDN_HARNESS_COMMANDS_H
#define GDN_HARNESS_COMMANDS_H

#include <argp.h>
#include <stddef.h>

#include "base/status.h"

gdn_status gdn_command_run(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_merge(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_plot(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_report(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_gate(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_layer(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_audit(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_convert(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_judge(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_claims(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_results(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_verify(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_bench(int argc, char **argv, gdn_error *err);
gdn_status gdn_command_list(int argc, char **argv, gdn_error *err);

/* The whole command line as typed; main() has it kept first. */
void gdn_command_line_keep(int argc, char **argv);
const char *gdn_command_line(void);

/*
 * argp_parse whose complaints become status and sentence. *done is set when --help or --version has been
 * answered.
 */
gdn_status gdn_parse(const struct argp *argp, int argc, char **argv, void *input, int *done, gdn_error *err);

/* A number of an option, or a sentence: `what` names the option, lo..hi is allowed. */
gdn_status gdn_option_number(const char *what, const char *text, double lo, double hi, double *x,
                             gdn_error *err);
gdn_status gdn_option_whole(const char *what, const char *text, long lo, long hi, long *x, gdn_error *err);

/*
 * Where plots/, experiments/ and the ledgers are: $GDNPREC_SHARE; beside the build directory; share/gdnprec
 * beside the program's bin; the PREFIX that it was built for. `gdnprec --help` prints it.
 */
const char *gdn_share(char *out, size_t size);

#endif
