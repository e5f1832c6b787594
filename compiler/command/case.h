/* One pattern with the sizes and parameters of a command line: what run, bench and explain share. Functions
 * that return a text return NULL or what is wrong. */
#ifndef ATTN_COMMAND_CASE_H
#define ATTN_COMMAND_CASE_H

#include "compiler/command/call.h"
#include "compiler/command/command.h"

/* The only pattern of the file, or the one of -p. */
const char *case_pattern(Pipeline *p, const char *file, Pattern **pattern);
/* `name=value` of -i, -o, --size; NULL where there is no name (a pattern with one output: -o FILE). */
const char *case_value(Compilation *c, const char *text, const char **name);
const char *case_sizes(Call *call, const Options *o);  /* --size */
const char *case_inputs(Call *call, const Options *o); /* -i */
/* The pattern, and a call of it with the types, sizes and inputs of the options; call_complete is still due. */
const char *case_open(Pipeline *p, const char *file, const Options *o, Pattern **pattern, Call *call);
const char *case_define(Call *call, const char *definition); /* NAME=VALUE, as a value that is not fixed */
/* The options as libattn takes them, lists ended by NULL. */
AttnCompileOptions case_jit(Compilation *c, const Options *o, const Pattern *pattern);
/* The last dimensions of real tensors as constants, as a program that cares for speed has them compiled: --size options. */
const char *const *case_fixed_sizes(Call *call);
/* `"i": 64, "j": 64` and `"window": 256`: members of JSON objects. */
void case_json_sizes(Text *out, const Call *call);
void case_json_params(Text *out, const Call *call);
/* `i = 64, j = 64, window = 256` */
void case_print(Text *out, const Call *call);

#endif
