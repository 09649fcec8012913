/* SPDX-License-Identifier: Apache-2.0 */
/* main -- gdnprec COMMAND ...: picks the command, prints what failed, and is the only place that exits. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/ieee.h"
#include "harness/commands.h"
#include "harness/provenance.h"
#include "harness/ranks.h"

static const struct {
    const char *name;
    gdn_status (*run)(int, char **, gdn_error *);
    const char *summary;
} commands[] = {
    {"run", gdn_command_run, "run or resume experiments: rows, summaries, provenance"},
    {"merge", gdn_command_merge, "stores of shards into the results of one run"},
    {"plot", gdn_command_plot, "draw the figures of experiments that were run (SVG and PDF)"},
    {"report", gdn_command_report, "write report.md and report.html from the rows and figures"},
    {"gate", gdn_command_gate, "one decay gate in every format, beside the truth"},
    {"layer", gdn_command_layer, "a whole layer from a file, stage by stage, beside the truth"},
    {"audit", gdn_command_audit, "what a checkpoint really stores, and what bf16 would cost its heads"},
    {"convert", gdn_command_convert, "a checkpoint under another precision contract, the rest byte for byte"},
    {"judge", gdn_command_judge, "somebody else's outputs beside the truth of their own inputs"},
    {"claims", gdn_command_claims, "the verdict on every claim of claims.yaml, from the results"},
    {"results", gdn_command_results, "the results that can be cited, and whether documents say the same"},
    {"verify", gdn_command_verify, "committed results made again here, bit for bit where portable"},
    {"bench", gdn_command_bench, "speed of every engine beside the machine's limits"},
    {"list", gdn_command_list, "formats, recipes, profiles, engines, experiments, columns, probes, layers"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(void)
{
    char share[4096];
    printf("Usage: gdnprec COMMAND [OPTION...]\n\n"
           "Measures what number formats cost in Gated DeltaNet: storage error and arithmetic\n"
           "error of the decay gate, the recurrence and out_norm against an MPFR reference,\n"
           "as a function of sequence length.\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].summary);
    printf("\n`gdnprec COMMAND --help` explains one. Exit status: 0 fine, 1 a comparison failed,\n"
           "2 wrong use or bad input, 3 the machine failed.\n\n"
           "Experiments, figure scripts and the ledger of claims that came with it are in\n  %s\n"
           "(GDNPREC_SHARE names another place).\n\nStart with:\n"
           "  gdnprec run experiments/quick.yaml && gdnprec plot quick && gdnprec report quick\n"
           "  gdnprec gate --a-log -3.3 --dt-bias -4\n",
           gdn_share(share, sizeof share));
}

static gdn_status dispatch(int argc, char **argv, gdn_error *err)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help();
        return argc < 2 ? gdn_fail(err, GDN_BAD_INPUT, "a command is wanted") : GDN_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("gdnprec %s\n", gdn_version_long());
        return GDN_OK;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            char name[64];
            snprintf(name, sizeof name, "gdnprec %s", argv[1]);
            argv[1] = name;
            gdn_status status = commands[i].run(argc - 1, argv + 1, err);
            argv[1] = NULL;
            return status;
        }
    return gdn_fail(err, GDN_BAD_INPUT, "'%s' is not a command; `gdnprec --help` lists them", argv[1]);
}

/* One line on stderr, whatever names and words it quotes: control characters become '?'. */
static void complain(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    fprintf(stderr, "gdnprec: %s\n", text);
}

/*
 * Threads that wait for each other are to spin for some 50 us and then sleep: those that spin on, as gcc's
 * OpenMP has it, make a task beside two busy programs take 15 times its time instead of 3 (docs/cluster.md).
 * OpenMP reads the environment before main does, so the program starts itself anew; where it cannot, they
 * spin.
 */
static void sleep_soon(char **argv)
{
    /* the last three have bound this thread to a core already, and a program started by it would keep to that
     * one */
    static const char *const chosen[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND", "OMP_PLACES",
                                         "GOMP_CPU_AFFINITY"};
    char self[4096];
    for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++)
        if (getenv(chosen[i]))
            return;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self); /* executed as such it would be named "exe" */
    bool by_loader = getauxval(AT_BASE) == 0;                  /* then that file is ld.so */
    if (n <= 0 || (size_t)n >= sizeof self || by_loader || setenv("GOMP_SPINCOUNT", "20000", 0))
        return;
    self[n] = 0;
    execv(self, argv);
}

int main(int argc, char **argv)
{
    sleep_soon(argv);
    gdn_error err = {""};
    gdn_command_line_keep(argc, argv);
    gdn_status status = gdn_ieee_check(&err);
    if (!status)
        status = dispatch(argc, argv, &err);
    if (fflush(stdout) || ferror(stdout)) {
        if (!status)
            status = gdn_fail(&err, GDN_MACHINE, "cannot write to standard output: %s", strerror(errno));
    }
    if (status && err.text[0])
        complain(err.text);
    return (int)gdn_ranks_end(status);
}
