/* What predictions need to know of this machine: measured once, kept in the cache folder as a small text file
 * that names the CPU, and measured again if that changes. */
#ifndef ATTN_COMMAND_PROFILE_H
#define ATTN_COMMAND_PROFILE_H

#include "lang/base.h"

enum { PROFILE_CACHES = 3 };
typedef struct Profile {
    char cpu[128];                 /* the model's name, and how many */
    double peak, read;             /* flops and bytes per second of one thread: host.h */
    double caches[PROFILE_CACHES]; /* bytes of the data caches of level 1 to 3 that one core can use; 0: not
                                      known */
} Profile;

/* Takes most of a second if it must measure. */
Profile profile_of_host(Compilation *c);

#endif
