#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slow_slurm.sh [KEEP] -- docs/slurm/*.sbatch under a Slurm of its own: munged, slurmctld and slurmd of one node with two
# processors, in a directory of their own and on ports of their own. Shards of an array, one of them told to leave as at
# its time limit and requeued, one cancelled and given again, then merged; ranks under srun and under mpirun. All CSV
# files must be those of one process, byte for byte. As root, in 2 minutes; exit status 77 where something is missing.
# The program is $GDNPREC, by default build/gdnprec; beside it mpi/gdnprec (or $GDNPREC_MPI), which MPI=1 makes. KEEP: a
# directory to work in and leave.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
gdnprec=$(realpath "${GDNPREC:-$here/build/gdnprec}")
ranked=$(realpath -m "${GDNPREC_MPI:-$(dirname "$gdnprec")/mpi/gdnprec}")
PATH=$PATH:/usr/sbin:/sbin

skip() { echo "skipped: $1" && exit 77; }
[ "$(id -u)" = 0 ] || skip 'Slurm is started as root'
for program in munged slurmctld slurmd srun sbatch; do
    command -v $program >/dev/null || skip "there is no $program; as root: apt-get install -y slurm-wlm munge"
done
id munge >/dev/null 2>&1 || skip 'there is no user munge, as whom munged runs'
[ -x "$gdnprec" ] || skip "there is no $gdnprec"

dir=${1:-$(mktemp -d "${TMPDIR:-/tmp}/gdn_slurm_XXXXXX")}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
daemons=
finish() {
    for pid in $daemons; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    [ "$dir" = "${keep:-}" ] || rm -rf "$dir"
}
[ $# -gt 0 ] && keep=$dir
trap finish EXIT
trap 'exit 1' INT TERM

# ---- the daemons ----

mkdir -p "$dir"/{munge,state,spool,bin/one,bin/ranked,bin/shim}
chmod 755 "$dir" "$dir/munge"
head -c 1024 /dev/urandom >"$dir/munge/key"
chmod 400 "$dir/munge/key"
chown -R munge "$dir/munge"
cat >"$dir/slurm.conf" <<END
ClusterName=gdnprec
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
SlurmUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
KillWait=5
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$dir/slurm.conf
runuser -u munge -- "$(command -v munged)" --foreground --socket="$dir/munge/socket" --key-file="$dir/munge/key" \
    --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" >"$dir/munged.out" 2>&1 &
daemons=$!
within() { # SECONDS COMMAND: wait until it holds
    local left=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.2
    done
}
within 10 test -S "$dir/munge/socket"
slurmctld -D >"$dir/slurmctld.out" 2>&1 &
daemons="$! $daemons"
slurmd -D -N localhost >"$dir/slurmd.out" 2>&1 &
daemons="$! $daemons"
idle() { sinfo -h -o %T | grep -q idle; }
if ! within 60 idle || [ "$(srun -n 2 hostname | wc -l)" != 2 ]; then
    tail -n 5 "$dir"/*.out
    skip 'Slurm does not start here (the lines above)'
fi

# ---- what is run ----

failures=0
fail() { failures=$((failures + 1)) && echo "FAILED   $1"; }
ln -sf "$gdnprec" "$dir/bin/one/gdnprec"
ln -sf "$ranked" "$dir/bin/ranked/gdnprec"
# Slurm without PMIx, as mpi.sbatch sees it
printf '#!/bin/sh\n[ "$1" = --mpi=list ] && { echo none; exit; }\nexec %s "$@"\n' "$(command -v srun)" >"$dir/bin/shim/srun"
chmod +x "$dir/bin/shim/srun"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive SHARDS=3
cd "$dir" || exit 1
cat >slurm.yaml <<'END'
experiment: slurm
question: Are the results of many processes those of one?
seeds: 9
dk: 16
dv: 16
lengths: [16, 1024]
profiles: [fp32, all-bf16, bf16-state-sr]
reference: {rung: mpfr}
populations:
  - {name: isotropic, heads: 1, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
  - {name: needle, heads: 1, keys: needle, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
END
"$gdnprec" run --quiet --backend cpu --jobs 2 --results one slurm.yaml >one.out || fail 'one process'

equal() { # WHAT DIRECTORY
    local files=0
    for file in one/slurm/*.csv; do
        cmp "$file" "$2/slurm/$(basename "$file")" || { fail "$1: $(basename "$file") differs" && return; }
        files=$((files + 1))
    done
    [ $files -gt 0 ] && echo "ok       $1: $files CSV files byte-equal to one process"
}
submit() { # a job's number; words of sbatch
    sbatch --parsable --cpus-per-task=1 --time=10:00 "$@"
}
running() { [ "$(squeue -h -j "$1" -o %T)" = RUNNING ]; }
pending() { [ "$(squeue -h -j "$1" -o %T)" = PENDING ]; }
ended() { [ -z "$(squeue -h -j "$1" -o %T)" ]; }
# Slurm lets a requeued job wait for two minutes; in the second in which it was ended its credential is void.
start_now() { sleep 3 && scontrol update jobid="$1" StartTime=now; }
some_tasks() { [ -s "$1" ] && [ "$(stat -c %s "$1-wal" 2>/dev/null || echo 0)" -gt 100000 ]; }

# An array: element 1 is told that its time is over, and goes on later; element 2 is cancelled, then given again.
export PATH=$dir/bin/one:$PATH
job=$(submit --array=1-3 --output=shard-%a.out "$here/docs/slurm/array.sbatch" --backend cpu slurm.yaml)
merge=$(submit --dependency=afterok:"$job" --output=merge.out --wrap 'gdnprec merge results/slurm')
within 60 some_tasks results/slurm/shard-1-of-3/store.db || fail 'shard 1 does not start'
scancel --signal=USR1 --batch "${job}_1"
within 30 pending "${job}_1" || fail 'shard 1 is not requeued'
grep -q 'run again to resume' shard-1.out || fail 'shard 1 does not say that it was interrupted'
within 60 running "${job}_2" && scancel "${job}_2"
start_now "${job}_1"
within 180 ended "$job" || fail 'the array does not end'
scancel "$merge" # its dependency can no longer be met
[ -e results/slurm/cells.csv ] && fail 'merged, though a shard was cancelled'
if gdnprec merge results/slurm >merge.out 2>&1 || ! grep -q '^MISSING ' merge.out; then
    fail 'a merge without all shards does not say what is missing'
fi
job=$(submit --array=2 --output=shard-%a.out "$here/docs/slurm/array.sbatch" --backend cpu slurm.yaml)
merge=$(submit --dependency=afterok:"$job" --output=merge.out --wrap 'gdnprec merge results/slurm')
within 180 ended "$merge" || fail 'the merge does not end'
cat merge.out
equal 'shards of an array, one requeued and one cancelled, merged' results

# Ranks: under srun and PMIx, told once that the time is over; and under mpirun.
if [ ! -x "$ranked" ]; then
    echo "left     docs/slurm/mpi.sbatch: there is no $ranked; make MPI=1 builds one"
else
    export PATH=$dir/bin/ranked:$PATH
    if srun --mpi=list 2>&1 | grep -q pmix; then
        job=$(submit -n 2 --output=srun.out "$here/docs/slurm/mpi.sbatch" --backend cpu --results srun slurm.yaml)
        within 60 some_tasks srun/slurm/store.db || fail 'ranks under srun do not start'
        scancel --signal=USR1 --batch "$job"
        within 30 pending "$job" || fail 'ranks under srun are not requeued'
        start_now "$job"
        within 180 ended "$job" || fail 'ranks under srun do not end'
        tail -n 3 srun.out
        equal '2 ranks under srun --mpi=pmix, requeued once' srun
        grep -q '"ranks": 2' srun/slurm/manifest.json || fail 'srun did not start 2 ranks of one run'
    else
        echo 'left     srun --mpi=pmix: this Slurm has no PMIx'
    fi
    export PATH=$dir/bin/shim:$PATH
    job=$(submit -n 2 --output=mpirun.out "$here/docs/slurm/mpi.sbatch" --backend cpu --results mpirun slurm.yaml)
    within 180 ended "$job" || fail 'ranks under mpirun do not end'
    tail -n 3 mpirun.out
    equal '2 ranks under mpirun' mpirun
    grep -q '"ranks": 2' mpirun/slurm/manifest.json || fail 'mpirun did not start 2 ranks of one run'
fi
[ $failures = 0 ] && echo 'Slurm: all as one process'
[ $failures = 0 ]
