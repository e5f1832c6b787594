/* attnc bench compile: how long the compiler takes. */
#include "compiler/command/command.h"

int command_bench(Options *o)
{
    (void)o;
    return EXIT_USAGE;
}
