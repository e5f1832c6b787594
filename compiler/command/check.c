/* attnc check: says what is wrong with files, and nothing if they are fine. */
#include "compiler/command/command.h"

int command_check(Compilation *c, const Options *o, const char *file)
{
    PipelineOptions options = pipeline_options(o, file);
    Pipeline p;
    pipeline_init(&p, c, &options);
    if (!pipeline_check(&p) || (!o->dump_after && !o->performance)) return pipeline_report(&p, o);
    for (uint32_t k = 0; k < p.program->patterns.n; k++) pipeline_kernel(&p, p.program->patterns.at[k]);
    return pipeline_report(&p, o);
}
