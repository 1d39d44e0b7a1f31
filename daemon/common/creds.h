/* Becoming another user for good. No logging. */
#pragma once

/* Becomes the user with all its groups and no capability, and proves that there is no way back
 * (aborts where there is). 0, -ENOENT: no such user, -EPERM: the user is root, -errno. */
int creds_become(const char *user);
