/*
 * Passwords that PAM is asked about: the service "ftd", for users whose line in the users file says
 * so. Only where it was built in (configure --with-pam). Modules open files, so this runs outside
 * the verifier's sandbox. No logging.
 */
#pragma once

/* Is it the user's password, and may they log in now? 1 or 0; -EOPNOTSUPP: not built in; -EIO: PAM
 * cannot tell, *ret_why (USERS_WHY_MAX) says why. */
int pamcheck_password(const char *user, const char *password, char *ret_why);
