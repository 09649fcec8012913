/* SPDX-License-Identifier: Apache-2.0 */
/* ranks -- processes started together; see ranks.h. */
#include "harness/ranks.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What launchers tell a process; the first that is set counts. A batch script has SLURM_NTASKS, but no step
 * of more than one task. */
static const struct {
    const char *size, *rank;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                 {"PMI_SIZE", "PMI_RANK"},
                 {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};

static gdn_ranks here = {.size = 1, .local_size = 1};

/* The launcher's number of processes, 1 without one; rank: this one's. */
static int launched(int *rank)
{
    *rank = 0;
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *size = getenv(launchers[i].size), *own = getenv(launchers[i].rank);
        if (size) {
            *rank = own ? atoi(own) : 0;
            return atoi(size);
        }
    }
    return 1;
}

static bool silent; /* another process says what is to be said */
static bool broken; /* the job cannot go on, and this process says why */

bool gdn_ranks_speaks(void)
{
    return !silent || broken;
}

void gdn_ranks_break(void)
{
    broken = true;
}

bool gdn_ranks_broken(void)
{
    return broken;
}

const gdn_ranks *gdn_ranks_here(void)
{
    cpu_set_t own;
    if (here.cores == 0) /* a launcher or taskset may have left us fewer than there are */
        here.cores =
            sched_getaffinity(0, sizeof own, &own) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&own);
    return &here;
}

void gdn_ranks_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

gdn_status gdn_ranks_post(int to, int tag, const void *bytes, size_t size, gdn_error *err)
{
    void *copy = malloc(size);
    if (!copy)
        return gdn_no_memory(err, "a message to another rank");
    memcpy(copy, bytes, size);
    return gdn_ranks_send(to, tag, copy, size, err);
}

gdn_status gdn_ranks_wait(int tag, gdn_message *m, gdn_error *err)
{
    bool found = false;
    *m = (gdn_message){0};
    gdn_status status = gdn_ranks_receive(tag, m, &found, err);
    while (!status && !found) {
        gdn_ranks_pause();
        status = gdn_ranks_receive(tag, m, &found, err);
    }
    return status;
}

#ifdef GDN_MPI
#include <mpi.h>

static MPI_Comm everyone = MPI_COMM_NULL, neighbours = MPI_COMM_NULL; /* all ranks; those on this host */

/* Messages on their way. */
static struct parcel {
    MPI_Request request;
    void *bytes;
    int tag;
} * parcels; /* [count] */
static size_t count, room;

/* Until a request is through, sleeping. */
static void await(MPI_Request *request)
{
    int done = 0;
    while (MPI_Test(request, &done, MPI_STATUS_IGNORE), !done)
        gdn_ranks_pause();
}

/* Cores that the ranks of this host may use together, for each of them. */
static int cores_each(void)
{
    cpu_set_t own, all;
    MPI_Request request;
    CPU_ZERO(&own);
    if (sched_getaffinity(0, sizeof own, &own))
        return 1;
    MPI_Iallreduce(&own, &all, sizeof own, MPI_BYTE, MPI_BOR, neighbours, &request);
    await(&request);
    int cores = CPU_COUNT(&all) / here.local_size, allowed = CPU_COUNT(&own);
    cores = cores < allowed ? cores : allowed;
    return cores > 1 ? cores : 1;
}

gdn_status gdn_ranks_start(gdn_error *err)
{
    int rank, size = launched(&rank), level;
    if (size <= 1)
        return GDN_OK;
    silent = rank > 0;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS ||
        level < MPI_THREAD_FUNNELED)
        return gdn_fail(err, GDN_MACHINE, "MPI cannot be started beside threads");
    MPI_Comm_dup(MPI_COMM_WORLD, &everyone);
    MPI_Comm_set_errhandler(everyone, MPI_ERRORS_ARE_FATAL); /* so what MPI returns is not looked at */
    if (gethostname(here.host, sizeof here.host - 1))
        snprintf(here.host, sizeof here.host, "a host without a name");
    MPI_Comm_rank(everyone, &here.rank);
    MPI_Comm_size(everyone, &here.size);
    if (here.size != size)
        return gdn_fail(
            err, GDN_BAD_INPUT,
            "run: started as one of %d processes, but MPI knows of %d; under Slurm, use srun --mpi=pmix",
            size, here.size);
    MPI_Comm_split_type(everyone, MPI_COMM_TYPE_SHARED, here.rank, MPI_INFO_NULL, &neighbours);
    MPI_Comm_rank(neighbours, &here.local);
    MPI_Comm_size(neighbours, &here.local_size);
    here.cores = cores_each();
    return GDN_OK;
}

gdn_status gdn_ranks_agree(gdn_status status, bool alone, gdn_error *err)
{
    int own = status ? here.rank : here.size, lowest;
    struct {
        int status;
        char host[sizeof here.host];
        gdn_error said;
    } word = {.status = (int)status, .said = *err};
    MPI_Request request;
    (void)alone; /* ranks whose work differs find that out when they meet */
    if (here.size == 1)
        return status;
    MPI_Iallreduce(&own, &lowest, 1, MPI_INT, MPI_MIN, everyone, &request);
    await(&request);
    if (lowest == here.size)
        return GDN_OK;
    memcpy(word.host, here.host, sizeof word.host);
    MPI_Ibcast(&word, sizeof word, MPI_BYTE, lowest, everyone, &request);
    await(&request);
    if (lowest != here.rank)
        gdn_fail(err, (gdn_status)word.status, "rank %d on %s: %s", lowest, word.host, word.said.text);
    return (gdn_status)word.status;
}

int gdn_ranks_alike(uint64_t key)
{
    if (here.size == 1)
        return 1;
    uint64_t *keys = calloc((size_t)here.local_size, sizeof *keys);
    MPI_Request request;
    int alike = 0;
    if (!keys)
        MPI_Abort(everyone, GDN_MACHINE); /* the others wait for what this one cannot give */
    MPI_Iallgather(&key, 1, MPI_UINT64_T, keys, 1, MPI_UINT64_T, neighbours, &request);
    await(&request);
    for (int i = 0; i < here.local_size; i++)
        alike += keys[i] == key;
    free(keys);
    return alike;
}

/* `size` bytes as one element: MPI counts in ints. */
static MPI_Datatype block_of(size_t size)
{
    enum { CHUNK = 1 << 20 };
    MPI_Datatype chunk, block;
    size_t whole = size / CHUNK;
    MPI_Type_contiguous(CHUNK, MPI_BYTE, &chunk);
    MPI_Type_create_struct(2, (int[]){(int)whole, (int)(size % CHUNK)},
                           (MPI_Aint[]){0, (MPI_Aint)(whole * CHUNK)}, (MPI_Datatype[]){chunk, MPI_BYTE},
                           &block);
    MPI_Type_commit(&block);
    MPI_Type_free(&chunk);
    return block;
}

/* Free what has arrived. */
static void sweep(void)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        int done;
        MPI_Test(&parcels[i].request, &done, MPI_STATUS_IGNORE);
        if (done)
            free(parcels[i].bytes);
        else
            parcels[left++] = parcels[i];
    }
    count = left;
}

gdn_status gdn_ranks_send(int to, int tag, void *bytes, size_t size, gdn_error *err)
{
    sweep();
    if (count == room) {
        size_t more = room ? 2 * room : 64;
        struct parcel *grown = realloc(parcels, more * sizeof *grown);
        if (!grown) {
            free(bytes);
            return gdn_no_memory(err, "a message to another rank");
        }
        parcels = grown;
        room = more;
    }
    struct parcel *p = &parcels[count++];
    p->bytes = bytes;
    p->tag = tag;
    MPI_Datatype block = block_of(size);
    MPI_Issend(bytes, 1, block, to, tag, everyone, &p->request); /* through when the other side takes it */
    MPI_Type_free(&block);
    return GDN_OK;
}

int gdn_ranks_under_way(int tag)
{
    int n = 0;
    sweep();
    for (size_t i = 0; i < count; i++)
        n += parcels[i].tag == tag;
    return n;
}

gdn_status gdn_ranks_receive(int tag, gdn_message *m, bool *found, gdn_error *err)
{
    MPI_Status status;
    MPI_Count size;
    int there;
    sweep();
    MPI_Iprobe(MPI_ANY_SOURCE, tag < 0 ? MPI_ANY_TAG : tag, everyone, &there, &status);
    *found = false;
    if (!there)
        return GDN_OK;
    MPI_Get_elements_x(&status, MPI_BYTE, &size);
    *m = (gdn_message){.from = status.MPI_SOURCE, .tag = status.MPI_TAG, .size = (size_t)size};
    m->bytes = malloc(m->size + 1);
    if (!m->bytes)
        return gdn_no_memory(err, "a message from another rank");
    MPI_Datatype block = block_of(m->size);
    MPI_Recv(m->bytes, 1, block, m->from, m->tag, everyone, MPI_STATUS_IGNORE);
    MPI_Type_free(&block);
    *found = true;
    return GDN_OK;
}

gdn_status gdn_ranks_end(gdn_status status)
{
    MPI_Request request;
    if (everyone == MPI_COMM_NULL)
        return status;
    if (broken)
        MPI_Abort(everyone, (int)(status ? status : GDN_MACHINE));
    for (sweep(); count; sweep())
        gdn_ranks_pause();
    free(parcels);
    MPI_Ibarrier(everyone, &request);
    await(&request);
    if (neighbours != MPI_COMM_NULL)
        MPI_Comm_free(&neighbours);
    MPI_Comm_free(&everyone);
    MPI_Finalize();
    return status;
}

#else

gdn_status gdn_ranks_start(gdn_error *err)
{
    (void)err;
    return GDN_OK;
}

gdn_status gdn_ranks_agree(gdn_status status, bool alone, gdn_error *err)
{
    int rank, size = launched(&rank);
    if (status || size <= 1 || alone)
        return status;
    silent = rank > 0;
    return gdn_fail(
        err, GDN_BAD_INPUT,
        "run: started as %d processes, but this gdnprec was built without MPI: build it with make MPI=1, or "
        "start one, or give each its --shard",
        size);
}

int gdn_ranks_alike(uint64_t key)
{
    (void)key;
    return 1;
}

gdn_status gdn_ranks_send(int to, int tag, void *bytes, size_t size, gdn_error *err)
{
    (void)to;
    (void)tag;
    (void)size;
    free(bytes);
    return gdn_fail(err, GDN_MACHINE, "there is no other rank");
}

int gdn_ranks_under_way(int tag)
{
    (void)tag;
    return 0;
}

gdn_status gdn_ranks_receive(int tag, gdn_message *m, bool *found, gdn_error *err)
{
    (void)tag;
    (void)m;
    (void)err;
    *found = false;
    return GDN_OK;
}

gdn_status gdn_ranks_end(gdn_status status)
{
    return status;
}

#endif
