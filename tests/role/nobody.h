/* Rights mean nothing to root: tests of refusals run as nobody. */
#pragma once

/* Before the first test; no way back. 0 or -1. */
int nobody_become(void **state);
