#include "daemon/common/creds.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/common/capabilities.h"

int
creds_become(const char *user)
{
	const struct passwd *pw;
	uid_t uid, r, e, s;
	gid_t gid;
	int error;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return errno == 0 ? -ENOENT : -errno;
	uid = pw->pw_uid;
	gid = pw->pw_gid;
	if (uid == 0 || gid == 0)
		return -EPERM;
	if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	error = capabilities_drop();
	if (error < 0)
		return error;
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || getresuid(&r, &e, &s) < 0 || r != uid ||
	    e != uid || s != uid)
		abort(); /* being wrong here is worse than dying */
	return 0;
}
