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
GPU_TESTS := $(if $(filter 1,$(CUDA)),$(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/gpu_*.c)))
HEADERS := $(foreach r,$(ROOMS) tests,$(wildcard $(r)/*.h))

# What the program knows of its own making; the file changes only when this does.
COMMIT := $(shell git describe --always --abbrev=12 2>/dev/null || echo unknown)
DIRTY := $(if $(shell git status --porcelain -- $(ROOMS) Makefile 2>/dev/null),1,0)

all: $(BUILD)/gdnprec

# ---- the two commands ----

run: $(BUILD)/gdnprec ## run experiments/quick.yaml, draw its figures, write its report
	$(BUILD)/gdnprec run --results $(RESULTS) --jobs $(JOBS) experiments/quick.yaml
	$(BUILD)/gdnprec plot --results $(RESULTS) quick
	$(BUILD)/gdnprec report --results $(RESULTS) quick

check: $(BUILD)/gdnprec $(TESTS) ## build and run every test (under 3 minutes on 2 cores)
	@tests/run.sh $(BUILD) $(TESTS)

# ---- the rest ----

check-gpu: $(BUILD)/gdnprec $(GPU_TESTS) ## the tests that need a GPU: its bits are the CPU's
	@status=0; for t in $(GPU_TESTS); do $$t || status=1; done; tests/gpu_equal.sh $(BUILD) || status=1; exit $$status

experiments: $(BUILD)/gdnprec ## run every experiment of experiments/ into RESULTS
	$(BUILD)/gdnprec run --results $(RESULTS) --jobs $(JOBS) $(wildcard experiments/*.yaml)

plots: $(BUILD)/gdnprec ## redraw the figures of RESULTS from the CSV files
	$(BUILD)/gdnprec plot --results $(RESULTS)

check-sanitize: ## the tests under -fsanitize=address,undefined
	$(MAKE) BUILD=$(BUILD)/sanitize CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined" check

bench: $(BUILD)/gdnprec ## time every engine beside the machine's limits
	$(BUILD)/gdnprec bench

reproduce: $(BUILD)/deps.ok ## one checksum over compilers, -O0/-O3, instruction sets, threads, block sizes
	tests/reproduce.sh $(BUILD)

lint: ## clang-format and clang-tidy
	clang-format --dry-run --Werror $(SOURCES) $(ISA_SOURCES) $(HEADERS) $(wildcard tests/*.c)
	clang-tidy --quiet $(SOURCES) $(ISA_SOURCES) -- $(STD) -DGDN_ISA=scalar -I.

install: $(BUILD)/gdnprec ## copy the program, claims.yaml, plots/ and experiments/ under PREFIX
	install -D $(BUILD)/gdnprec $(DESTDIR)$(PREFIX)/bin/gdnprec
	install -d $(DESTDIR)$(PREFIX)/share/gdnprec/plots $(DESTDIR)$(PREFIX)/share/gdnprec/experiments
	install -m 644 plots/*.gp $(DESTDIR)$(PREFIX)/share/gdnprec/plots
	install -m 644 experiments/*.yaml $(DESTDIR)$(PREFIX)/share/gdnprec/experiments
	install -m 644 claims.yaml $(DESTDIR)$(PREFIX)/share/gdnprec

clean: ## remove the build directory, RESULTS in it included
	rm -rf $(BUILD)

help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "  %-15s %s\n", $$1, $$2}'
	@echo "Variables: CC=$(CC) CFLAGS='$(CFLAGS)' BUILD=$(BUILD) RESULTS=$(RESULTS) JOBS=$(JOBS) PREFIX=$(PREFIX)"

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

define isa_rule
$$(BUILD)/%.$(1).o: %.c Makefile | $$(BUILD)/deps.ok
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(ISA_$(1)) -DGDN_ISA=$(1) -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(BUILD)/tests/%: tests/%.c $(LIBRARY_OBJECTS) Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(LIBRARY_OBJECTS) $(begin_static) -lcheck -lsubunit $(end_static) -lrt -lpthread $(LIBS)

.PHONY: all run check check-gpu experiments plots check-sanitize bench reproduce lint install clean help FORCE
.SECONDARY:
FORCE:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
