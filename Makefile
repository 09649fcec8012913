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
SOURCES := $(filter-out $(ISA_SOURCES),$(foreach r,$(ROOMS),$(wildcard $(r)/*.c)))
LIBRARY_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out harness/main.c,$(SOURCES))) \
                   $(foreach i,$(ISAS),$(patsubst %.c,$(BUILD)/%.$(i).o,$(ISA_SOURCES))) \
                   $(CUDA_OBJECTS)
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
SHELL_TESTS := $(wildcard tests/test_*.sh)
GPU_TESTS := $(if $(filter 1,$(CUDA)),$(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/gpu_*.c)))
HEADERS := $(foreach r,$(ROOMS) tests,$(wildcard $(r)/*.h))

# The manual page and the completions, made from the program's own words; and what is installed besides.
PAGE_NAMES = man/man1/gdnprec.1 bash-completion/completions/gdnprec zsh/site-functions/_gdnprec
PAGES = $(PAGE_NAMES:%=$(BUILD)/share/%)
SHARED = $(sort $(wildcard plots/*.gp experiments/*.yaml docs/*.md) claims.yaml results.yaml decisions.yaml README.md LICENSE CITATION.cff \
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

check: $(BUILD)/gdnprec $(TESTS) $(PAGES) ## build and run every test (under 3 minutes on 2 cores)
	@tests/run.sh $(BUILD) $(TESTS) $(SHELL_TESTS)

# ---- the rest ----

check-gpu: $(BUILD)/gdnprec $(GPU_TESTS) ## the tests that need a GPU: its bits are the CPU's
	@status=0; for t in $(GPU_TESTS); do $$t || status=1; done; tests/gpu_equal.sh $(BUILD) || status=1; exit $$status

experiments: $(BUILD)/gdnprec ## run every experiment of experiments/ into RESULTS
	$(BUILD)/gdnprec run --results $(RESULTS) --jobs $(JOBS) $(wildcard experiments/*.yaml)

plots: $(BUILD)/gdnprec ## redraw the figures of results/ (RESULTS=DIR: of another folder) from the CSV files
	$(BUILD)/gdnprec plot --results $(if $(filter file,$(origin RESULTS)),results,$(RESULTS))

check-sanitize: ## the tests under -fsanitize=address,undefined
	CK_TIMEOUT_MULTIPLIER=10 $(MAKE) BUILD=$(BUILD)/sanitize CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" check

# libFuzzer: 10^7 executions take half an hour of a core; FUZZ_RUNS=200000 is a smoke test.
FUZZ_RUNS ?= 10000000
FUZZ_CC ?= clang
FUZZ_TARGETS = safetensors index
FUZZ_FLAGS = $(STD) -I. -O2 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_SOURCES = harness/safetensors.c harness/safetensors_header.c harness/dtype.c harness/json_walk.c harness/json_file.c \
               harness/shown.c harness/checkpoint_index.c harness/contract.c base/status.c base/format.c

fuzz: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%) ## FUZZ_RUNS random files through what reads checkpoints, under sanitizers
	@for t in $(FUZZ_TARGETS); do mkdir -p $(BUILD)/fuzz/corpus_$$t; \
	    $(BUILD)/fuzz/$$t -runs=$$(($(FUZZ_RUNS) / $(words $(FUZZ_TARGETS)))) -max_len=2048 -timeout=20 -rss_limit_mb=1024 \
	        -malloc_limit_mb=64 -dict=tests/fuzz/json.dict -artifact_prefix=$(BUILD)/fuzz/ -verbosity=1 \
	        -print_final_stats=1 $(BUILD)/fuzz/corpus_$$t tests/fuzz/seeds_$$t || exit 1; done

$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h $(FUZZ_SOURCES) $(HEADERS) Makefile
	@mkdir -p $(@D)
	@echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n ? 0 : 0; }' >$(@D)/try.c
	@$(FUZZ_CC) -fsanitize=fuzzer,address -o $(@D)/try $(@D)/try.c 2>/dev/null || { echo "make fuzz needs clang's libFuzzer." \
	    "As root: apt-get install -y clang libclang-rt-14-dev (14: the version of clang)" >&2; exit 2; }
	$(FUZZ_CC) $(FUZZ_FLAGS) -o $@ $< $(FUZZ_SOURCES) -ljansson -lm

bench: $(BUILD)/gdnprec ## time every engine beside the machine's limits
	$(BUILD)/gdnprec bench

reproduce: $(BUILD)/deps.ok ## one checksum over compilers, -O0/-O3, instruction sets, threads, block sizes
	tests/reproduce.sh $(BUILD)

lint: ## clang-format and clang-tidy
	clang-format --dry-run --Werror $(SOURCES) $(ISA_SOURCES) $(HEADERS) $(wildcard tests/*.c)
	clang-tidy --quiet $(SOURCES) $(ISA_SOURCES) -- $(STD) -DGDN_ISA=scalar -I.

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
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "  %-15s %s\n", $$1, $$2}'
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

$(BUILD)/harness/provenance.o $(BUILD)/harness/options.o: $(BUILD)/commit.h
$(BUILD)/harness/provenance.o $(BUILD)/harness/options.o: ALL_CFLAGS += -include $(BUILD)/commit.h

$(BUILD)/gdnprec: $(BUILD)/harness/main.o $(LIBRARY_OBJECTS)
	$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(LIBS)

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

$(BUILD)/tests/%: tests/%.c $(LIBRARY_OBJECTS) Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(LIBRARY_OBJECTS) $(begin_static) -lcheck -lsubunit $(end_static) -lrt -lpthread $(LIBS)

.PHONY: all run check check-gpu experiments plots check-sanitize fuzz bench reproduce lint install uninstall clean help FORCE
.SECONDARY:
FORCE:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
