/* Sharing out the tasks of a phase: to OpenMP's threads, to a host's pool, or, in a child of fork, to
 * threads of our own (OpenMP's do not survive a fork, and waiting for them would never end). */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { WORKERS_MAX = 1024 };

/* The process that loaded this library; never changes after. */
static pid_t loaded_in;
__attribute__((constructor)) static void note_process(void) { loaded_in = getpid(); }

typedef struct Job {
    const AttnPattern *pattern;
    const AttnCall *call;
    int32_t number;
    int workers;
    int64_t tasks;
    char *scratch;
    size_t scratch_bytes;
    _Atomic int64_t next, done;
} Job;

/* Takes the next tasks: many while many are left, single ones at the end. */
static bool take(Job *job, int64_t *first, int64_t *last)
{
    int64_t at = atomic_load_explicit(&job->next, memory_order_relaxed), n;
    do {
        int64_t left = job->tasks - at;
        if (left <= 0)
            return false;
        n = left / (4 * job->workers);
        n = n > 0 ? n : 1;
    } while (!atomic_compare_exchange_weak_explicit(&job->next, &at, at + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    *first = at;
    *last = at + n;
    return true;
}

static bool failed(const Job *job) { return __atomic_load_n(job->call->status, __ATOMIC_RELAXED) != 0; }

static void work(void *data, int n)
{
    Job *job = data;
    int64_t first, last;
    if (n < 0 || n >= job->workers)
        return;
    char *scratch = job->scratch_bytes ? job->scratch + (size_t)n * job->scratch_bytes : NULL;
    while (!failed(job) && take(job, &first, &last)) {
        job->pattern->phase(job->call, job->number, first, last, scratch);
        atomic_fetch_add_explicit(&job->done, last - first, memory_order_release);
    }
}

/* ---- threads of our own ---- */

typedef struct Part {
    Job *job;
    int n;
    pthread_t thread;
    bool started;
} Part;

static void *run_part(void *data)
{
    Part *part = data;
    work(part->job, part->n);
    return NULL;
}

/* What cannot be started is done by the caller: work() of one takes what the others leave. */
static void run_pthreads(Job *job)
{
    Part *parts = rt_alloc((size_t)job->workers, sizeof *parts);
    for (int i = 1; parts && i < job->workers; i++) {
        parts[i].job = job;
        parts[i].n = i;
        parts[i].started = pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) == 0;
    }
    work(job, 0);
    for (int i = 1; parts && i < job->workers; i++)
        if (parts[i].started)
            pthread_join(parts[i].thread, NULL);
    rt_free(parts);
}

static void run_openmp(Job *job)
{
#ifdef _OPENMP
#pragma omp parallel num_threads(job->workers)
    for (int n = omp_get_thread_num(); n < job->workers; n += omp_get_num_threads())
        work(job, n);
#else
    run_pthreads(job);
#endif
}

/* ---- */

static bool forked(void) { return getpid() != loaded_in; }

int rt_threads(const AttnRunOptions *options)
{
    int n = options->threads;
    if (n <= 0) {
#ifdef _OPENMP
        n = omp_get_max_threads();
#else
        cpu_set_t set;
        n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
#endif
    }
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

bool rt_phase(const AttnPattern *pattern, const AttnCall *call, int32_t number, int64_t tasks, int workers,
              char *scratch, size_t scratch_bytes, const AttnRunOptions *options)
{
    Job job = {.pattern = pattern,
               .call = call,
               .number = number,
               .tasks = tasks,
               .scratch = scratch,
               .scratch_bytes = scratch_bytes,
               .workers = (int64_t)workers < tasks ? workers : (int)tasks};
    if (tasks <= 0)
        return true;
    if (job.workers == 1)
        work(&job, 0);
    else if (options->parallel)
        options->parallel(options->parallel_context, job.workers, work, &job);
    else if (forked())
        run_pthreads(&job);
    else
        run_openmp(&job);
    return failed(&job) || atomic_load_explicit(&job.done, memory_order_acquire) == tasks;
}
