/* What the last word of a command line may become; the bash completion asks here. */
#pragma once

/* words[0..n): what stands behind "ftctl", the last one unfinished. Prints candidates, one a line.
 */
void complete(char **words, int n);
