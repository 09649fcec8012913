# SPDX-License-Identifier: Apache-2.0
# gdnprec: `make run` and `make check` are all a newcomer needs; `make help` lists the rest.

ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O3 -g1
BUILD ?= build
RESULTS ?= $(BUILD)/results
JOBS ?= $(shell nproc)
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(JOBS)
endif
PREFIX ?= /usr/local

# -ffp-contract=off: portable results allow a fused multiply-add only where the source asks for one.
# -fno-tree-slp-vectorize: gcc 12 drops the rounding in two adjacent (double)(float)x when it vectorises them
# (tests/test_compiler.c shows it); what must be fast uses explicit vectors.
STD = -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-tree-slp-vectorize
# -Wno-missing-field-initializers: rows of recipe and profile tables name what they set; the rest is zero by design.
WARN = -Wall -Wextra -Wconversion -Wshadow -Wno-psabi -Wno-missing-field-initializers
ALL_CFLAGS = $(STD) $(WARN) -fopenmp -I. $(CUDA_DEFINE) -MMD -MP $(CFLAGS)
# STATIC=1 links all but MPFR, GMP and libc into the binary, which then runs on machines without the rest.
STATIC ?= 0
begin_static = $(if $(filter 1,$(STATIC)),-Wl$(comma)-Bstatic)
end_static = $(if $(filter 1,$(STATIC)),-Wl$(comma)-Bdynamic)
comma = ,
LIBS = $(begin_static) -lgsl -lgslcblas -lsqlite3 -lcyaml -lyaml -ljansson -lcmark-gfm-extensions -lcmark-gfm \
       -lxxhash -lmd $(end_static) $(CUDA_LIBS) -lmpfr -lgmp -lm -ldl -lpthread

# Files compiled once per instruction set (base/simd.h), and with what.
ISA_SOURCES := $(wildcard kernels/*_tile.c reference/*_tile.c harness/*_tile.c)
ifeq ($(shell uname -m),x86_64)
ISAS = scalar avx2 avx512
else
ISAS = scalar
endif
ISA_scalar =
ISA_avx2 = -mavx2 -mfma
ISA_avx512 = -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx2 -mfma

ROOMS = base kernels reference harness

# CUDA where nvcc and a GPU are; CUDA=1 builds it elsewhere (a minute or two more), CUDA=0 leaves it out. Device code
# of each architecture, and PTX for later ones.
NVCC ?= $(firstword $(wildcard $(shell command -v nvcc 2>/dev/null) /usr/local/cuda/bin/nvcc))
CUDA ?= $(if $(and $(NVCC),$(shell nvidia-smi -L >/dev/null 2>&1 && echo 1)),1,0)
CUDA_ARCHS ?= 80 90
ifeq ($(CUDA),1)
CUDA_HOME ?= $(patsubst %/bin/,%,$(dir $(realpath $(NVCC))))
CUDA_OBJECTS := $(patsubst %.cu,$(BUILD)/%.cu.o,$(foreach r,$(ROOMS),$(wildcard $(r)/*.cu)))
CUDA_LIBS = -L$(CUDA_HOME)/lib64 -lcudart_static -lrt -lstdc++
CUDA_DEFINE = -DGDN_CUDA
endif
NVCC_FLAGS = -std=c++20 -DGDN_CUDA -O3 -lineinfo --fmad=false --default-stream per-thread -I. \
             $(foreach a,$(CUDA_ARCHS),-gencode=arch=compute_$(a),code=sm_$(a)) \
             -gencode=arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS)) \
             -Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers,-ffp-contract=off,-fno-tree-slp-vectorize

# MPI=1: mpirun and srun start several processes that share an experiment's tasks. Of all files, harness/ranks.c alone
# is another then; where mpicc is, tests have that program as BUILD/mpi/gdnprec.
MPI ?= 0
MPICC ?= $(shell command -v mpicc 2>/dev/null)
MPI_CFLAGS = $(shell $(MPICC) --showme:compile)
MPI_LIBS = $(shell $(MPICC) --showme:link)
ifeq ($(MPI)$(MPICC),1)
$(error MPI=1 needs Open MPI's mpicc. As root: apt-get install -y libopenmpi-dev openmpi-bin)
endif

SOURCES := $(filter-out $(ISA_SOURCES),$(foreach r,$(ROOMS),$(wildcard $(r)/*.c)))
LIBRARY_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out harness/main.c,$(SOURCES))) \
                   $(foreach i,$(ISAS),$(patsubst %.c,$(BUILD)/%.$(i).o,$(ISA_SOURCES))) \
                   $(CUDA_OBJECTS)
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
SHELL_TESTS := $(wildcard tests/test_*.sh)
# ONLY="store task": tests/test_store.c and tests/test_task.c alone.
ONLY ?=
CHOSEN_TESTS = $(if $(ONLY),$(filter $(ONLY:%=$(BUILD)/tests/test_%),$(TESTS)),$(TESTS))
CHOSEN_SHELL_TESTS = $(if $(ONLY),$(filter $(ONLY:%=tests/test_%.sh),$(SHELL_TESTS)),$(SHELL_TESTS))
GPU_TESTS := $(if $(filter 1,$(CUDA)),$(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/gpu_*.c)))
HEADERS := $(foreach r,$(ROOMS) tests,$(wildcard $(r)/*.h))

# The manual page and the completions, made from the program's own words; and what is installed besides.
PAGE_NAMES = man/man1/gdnprec.1 bash-completion/completions/gdnprec zsh/site-functions/_gdnprec
PAGES = $(PAGE_NAMES:%=$(BUILD)/share/%)
SHARED = $(sort $(wildcard plots/*.gp experiments/*.yaml docs/*.md docs/slurm/*.sbatch) claims.yaml results.yaml decisions.yaml README.md LICENSE CITATION.cff \
         $(shell find tests/golden -type f))
ROOT = $(DESTDIR)$(PREFIX)

# What the program knows of its own making; the file changes only when this does.
COMMIT := $(shell git describe --always --abbrev=12 2>/dev/null || echo unknown)
DIRTY := $(if $(shell git status --porcelain -- $(ROOMS) Makefile 2>/dev/null),1,0)

all: $(BUILD)/gdnprec

# ---- the two commands ----

run: $(BUILD)/gdnprec ## run experiments/quick.yaml, draw its figures, write its report
	$(BUILD)/gdnprec run --results $(RESULTS) --jobs $(JOBS) experiments/quick.yaml
	$(BUILD)/gdnprec plot --results $(RESULTS) quick
	$(BUILD)/gdnprec report --results $(RESULTS) quick

check: $(BUILD)/gdnprec $(BUILD)/tests/fault.so $(if $(MPICC),$(BUILD)/mpi/gdnprec) $(CHOSEN_TESTS) $(PAGES) ## build and run every test (under 4 minutes on 2 cores), or those that ONLY names
	@tests/run.sh $(BUILD) $(CHOSEN_SHELL_TESTS) $(CHOSEN_TESTS)

# ---- the rest ----

check-gpu: $(BUILD)/gdnprec $(GPU_TESTS) ## the tests that need a GPU: its bits are the CPU's
	@status=0; for t in $(GPU_TESTS); do $$t || status=1; done; tests/gpu_equal.sh $(BUILD) || status=1; exit $$status

check-gpu-sanitize: $(BUILD)/gdnprec ## on a GPU: memcheck, initcheck, synccheck and racecheck of small runs; two minutes
	tests/compute_sanitizer.sh $(BUILD)

experiments: $(BUILD)/gdnprec ## run every experiment of experiments/ into RESULTS
	$(BUILD)/gdnprec run --results $(RESULTS) --jobs $(JOBS) $(wildcard experiments/*.yaml)

plots: $(BUILD)/gdnprec ## redraw the figures of results/ (RESULTS=DIR: of another folder) from the CSV files
	$(BUILD)/gdnprec plot --results $(if $(filter file,$(origin RESULTS)),results,$(RESULTS))

check-sanitize: ## the tests (or those that ONLY names) under -fsanitize=address,undefined; an hour of a core
	CK_TIMEOUT_MULTIPLIER=60 TEST_JOBS=$(JOBS) \
	    $(MAKE) BUILD=$(BUILD)/sanitize CUDA=0 CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" check

# gcc's libgomp waits in ways that the sanitizer cannot see; clang's OpenMP tells it (libomp-dev: libomp and archer).
check-thread: ## run, pool, lockstep and export under -fsanitize=thread
	$(MAKE) BUILD=$(BUILD)/thread CUDA=0 CC=clang CFLAGS="-O1 -g -fsanitize=thread" $(BUILD)/thread/gdnprec
	tests/thread.sh $(BUILD)/thread

VALGRIND_TESTS = table shown stats store grouping checkpoint contract experiment
check-slow: $(BUILD)/gdnprec $(BUILD)/tests/fault.so $(BUILD)/tests/slow_rows ## 50 full disks, 200 kills, Slurm, 10^7 rows: half an hour
	GDNPREC=$(BUILD)/gdnprec tests/slow_crash.sh
	GDNPREC=$(BUILD)/gdnprec tests/slow_slurm.sh || [ $$? = 77 ]
	rows=$$(mktemp -d) && $(BUILD)/tests/slow_rows "$$rows"; status=$$?; rm -rf "$$rows"; exit $$status

check-valgrind: $(VALGRIND_TESTS:%=$(BUILD)/tests/test_%) ## memcheck on tests that are fast enough for it
	@for t in $(VALGRIND_TESTS); do echo $$t; CK_FORK=no valgrind -q --error-exitcode=9 --leak-check=full \
	    --errors-for-leak-kinds=definite $(BUILD)/tests/test_$$t >$(BUILD)/tests/$$t.memcheck 2>&1 || \
	    { cat $(BUILD)/tests/$$t.memcheck; exit 1; }; done

coverage: ## statements of kernels/, reference/ and harness/ that `make check` (or ONLY) reaches, by gcov
	-CK_TIMEOUT_MULTIPLIER=10 $(MAKE) BUILD=$(BUILD)/coverage CUDA=0 CFLAGS="-O1 -g --coverage -fprofile-update=atomic" check
	tests/coverage.sh $(BUILD)/coverage

# libFuzzer, over everything that is read from files of others. FUZZ_RUNS=200000 is a smoke test; tests/fuzz/many.sh
# spreads many more over the cores of a machine, also of one with nothing but the binaries (all but MPFR, GMP and libc
# is linked in). No threads: libFuzzer's processes are what runs side by side.
FUZZ_RUNS ?= 10000000
FUZZ_CC ?= clang
FUZZ_TARGETS = safetensors index experiment table store
FUZZ_FLAGS = -DGDN_FUZZING $(STD) $(filter-out -Wno-psabi,$(WARN)) -Wno-unknown-pragmas -isystem tests/fuzz/serial -I. -O2 -g1 \
             -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all
FUZZ_LIBS = -Wl,-Bstatic -lgsl -lgslcblas -lsqlite3 -lcyaml -lyaml -ljansson -lcmark-gfm-extensions -lcmark-gfm -lxxhash -lmd \
            -Wl,-Bdynamic -lmpfr -lgmp -lm -ldl -lpthread
FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out harness/main.c,$(SOURCES))) \
                $(foreach i,$(ISAS),$(patsubst %.c,$(BUILD)/fuzz/%.$(i).o,$(ISA_SOURCES)))
FUZZ_SEEDS = $(sort $(wildcard tests/fuzz/seeds_*/* tests/fuzz/*.dict))

fuzz: fuzz-build ## FUZZ_RUNS random files through what reads files of others, under sanitizers
	tests/fuzz/many.sh $(BUILD)/fuzz/bin $(FUZZ_RUNS) $(JOBS)

fuzz-build: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/bin/fuzz_%) $(FUZZ_SEEDS) tests/fuzz/many.sh
	@cp -r tests/fuzz/seeds_* tests/fuzz/*.dict tests/fuzz/many.sh $(BUILD)/fuzz/bin/

$(BUILD)/fuzz/try.ok:
	@mkdir -p $(@D)
	@echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n ? 0 : 0; }' >$(@D)/try.c
	@$(FUZZ_CC) -fsanitize=fuzzer,address -o $(@D)/try $(@D)/try.c 2>/dev/null || { echo "make fuzz needs clang's libFuzzer." \
	    "As root: apt-get install -y clang libclang-rt-14-dev (14: the version of clang)" >&2; exit 2; }
	@touch $@

$(BUILD)/fuzz/libgdn.a: $(FUZZ_OBJECTS)
	@rm -f $@
	ar rcs $@ $(FUZZ_OBJECTS)

$(BUILD)/fuzz/bin/fuzz_%: $(BUILD)/fuzz/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libgdn.a
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(FUZZ_LIBS)
	@strip $@

$(BUILD)/fuzz/%.o: %.c | $(BUILD)/fuzz/try.ok $(BUILD)/commit.h
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -include $(BUILD)/commit.h -MMD -MP -c -o $@ $<

# Kernels are linked and never reached.
define fuzz_rule
$$(BUILD)/fuzz/%.$(1).o: %.c | $$(BUILD)/fuzz/try.ok
	@mkdir -p $$(@D)
	$$(FUZZ_CC) $$(STD) -I. -O1 $$(ISA_$(1)) -DGDN_ISA=$(1) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call fuzz_rule,$(i))))

bench: $(BUILD)/gdnprec ## time every engine beside the machine's limits
	$(BUILD)/gdnprec bench

reproduce: $(BUILD)/deps.ok ## one checksum over compilers, -O0/-O3, instruction sets, threads, block sizes
	tests/reproduce.sh $(BUILD)

LINTED = $(SOURCES) $(ISA_SOURCES)
lint: lint-warnings ## clang-format, clang's warnings, shellcheck, cppcheck and clang-tidy
	clang-format --dry-run --Werror $(LINTED) $(HEADERS) $(wildcard tests/*.c tests/fuzz/*.[ch])
	cppcheck --std=c11 --enable=warning,performance,portability --inline-suppr --suppressions-list=.cppcheck --quiet -j $(JOBS) \
	    --error-exitcode=1 -I. -DGDN_ISA=scalar -D__x86_64__ '-Djson_object_foreach(o,k,v)=while (k = name(o), v = value(o))' \
	    '-Djson_array_foreach(a,i,v)=while (i = 0, v = value(a))' $(ROOMS)
	printf '%s\n' $(LINTED) | xargs -P $(JOBS) -n 4 sh -c \
	    'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- $(STD) -fopenmp -isystem tests/fuzz/serial -DGDN_ISA=scalar -I.' tidy

# Half a minute, so a part of CI: what gcc's -Wconversion does not see, and the shell scripts.
lint-warnings: $(BUILD)/commit.h
	printf '%s\n' $(LINTED) $(filter-out tests/gpu_%,$(wildcard tests/*.c)) | xargs -P $(JOBS) -n 8 \
	    clang $(STD) $(filter-out -Wno-psabi,$(WARN)) -Werror -fopenmp -isystem tests/fuzz/serial -include $(BUILD)/commit.h \
	    -DGDN_ISA=scalar -I. -fsyntax-only
	shellcheck -S warning .ci/run tests/*.sh tests/fuzz/*.sh $(filter-out tools/completion.sh,$(wildcard tools/*.sh))
	shellcheck -S warning -s bash tools/completion.sh

install: $(BUILD)/gdnprec $(PAGES) ## copy program, manual page, completions and what they read under DESTDIR and PREFIX
	@install -D $(BUILD)/gdnprec "$(ROOT)/bin/gdnprec"
	@for f in $(PAGE_NAMES); do install -D -m 644 "$(BUILD)/share/$$f" "$(ROOT)/share/$$f" || exit 1; done
	@for f in $(SHARED); do install -D -m 644 "$$f" "$(ROOT)/share/gdnprec/$$f" || exit 1; done
	@echo "installed $(ROOT)/bin/gdnprec, and what it reads in $(ROOT)/share/gdnprec"

uninstall: ## remove what install has put there
	@rm -f "$(ROOT)/bin/gdnprec"
	@for f in $(PAGE_NAMES) $(SHARED:%=gdnprec/%); do rm -f "$(ROOT)/share/$$f" || exit 1; done
	@[ ! -d "$(ROOT)/share/gdnprec" ] || find "$(ROOT)/share/gdnprec" -depth -type d -empty -delete

clean: ## remove the build directory, RESULTS in it included
	rm -rf $(BUILD)

help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "  %-18s %s\n", $$1, $$2}'
	@echo "Variables: CC=$(CC) CFLAGS='$(CFLAGS)' BUILD=$(BUILD) RESULTS=$(RESULTS) JOBS=$(JOBS) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"

# ---- building ----

# Libraries are looked for once; tools/deps.sh installs what is missing or prints the command that does.
$(BUILD)/deps.ok: tools/deps.sh
	@mkdir -p $(@D)
	@tools/deps.sh $(CC)
	@touch $@

$(BUILD)/commit.h: FORCE
	@mkdir -p $(@D)
	@printf '#define GDN_COMMIT "%s"\n#define GDN_DIRTY %s\n#define GDN_FLAGS_TEXT "%s"\n#define GDN_SHARE "%s"\n' \
	    '$(COMMIT)' '$(DIRTY)' '$(STD) $(CFLAGS)' '$(PREFIX)/share/gdnprec' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Changes when CUDA is switched on or off, or its architectures change: everything is built again then.
$(BUILD)/cuda.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(CUDA) $(CUDA_ARCHS)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Changes when MPI is switched on or off.
$(BUILD)/mpi.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(MPI)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/harness/provenance.o $(BUILD)/harness/options.o: $(BUILD)/commit.h
$(BUILD)/harness/provenance.o $(BUILD)/harness/options.o: ALL_CFLAGS += -include $(BUILD)/commit.h

PROGRAM_OBJECTS = $(BUILD)/harness/main.o $(LIBRARY_OBJECTS)
MPI_OBJECTS = $(PROGRAM_OBJECTS:$(BUILD)/harness/ranks.o=$(BUILD)/mpi/ranks.o)

$(BUILD)/gdnprec: $(if $(filter 1,$(MPI)),$(MPI_OBJECTS),$(PROGRAM_OBJECTS)) $(BUILD)/mpi.stamp
	$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(LIBS) $(if $(filter 1,$(MPI)),$(MPI_LIBS))

$(BUILD)/mpi/gdnprec: $(MPI_OBJECTS)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIBS) $(MPI_LIBS)

$(BUILD)/mpi/ranks.o: harness/ranks.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DGDN_MPI $(MPI_CFLAGS) -c -o $@ $<

$(BUILD)/%.o: %.c Makefile $(BUILD)/cuda.stamp | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/%.cu.o: %.cu Makefile $(BUILD)/cuda.stamp | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(NVCC) $(NVCC_FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/share/man/man1/gdnprec.1: $(BUILD)/gdnprec tools/man.sh
	@mkdir -p $(@D)
	@tools/man.sh $< $(PREFIX)/share/gdnprec >$@.new
	@mv $@.new $@

$(BUILD)/share/bash-completion/completions/gdnprec: tools/completion.sh tools/completion.bash
	@mkdir -p $(@D)
	@cat $^ >$@

$(BUILD)/share/zsh/site-functions/_gdnprec: tools/completion.sh tools/completion.zsh
	@mkdir -p $(@D)
	@{ echo '#compdef gdnprec'; cat $^; } >$@

define isa_rule
$$(BUILD)/%.$(1).o: %.c Makefile | $$(BUILD)/deps.ok
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(ISA_$(1)) -DGDN_ISA=$(1) -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

# A disk that fails on command, for tests/test_crash.sh and tests/slow_crash.sh: preloaded, so no sanitizer is in it.
$(BUILD)/tests/fault.so: tests/fault/fault.c Makefile
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) -O1 -fPIC -shared -o $@ $< -ldl

$(BUILD)/tests/%: tests/%.c $(LIBRARY_OBJECTS) Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(filter $(BUILD)/tests/%.o,$^) $(LIBRARY_OBJECTS) $(begin_static) -lcheck -lsubunit $(end_static) -lrt -lpthread $(LIBS)

# test_fuzz has all fuzz targets, each under names of its own.
$(BUILD)/tests/fuzz/fuzz_%.o: tests/fuzz/fuzz_%.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DLLVMFuzzerTestOneInput=fuzz_$* -Dfuzz_accepted=fuzz_accepted_$* -c -o $@ $<

$(BUILD)/tests/test_fuzz: $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/fuzz_%.o)

.PHONY: all run check check-gpu check-gpu-sanitize check-slow experiments plots check-sanitize check-thread check-valgrind coverage fuzz fuzz-build lint-warnings bench reproduce lint install uninstall clean help FORCE
.SECONDARY:
FORCE:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
