/* Where the user's own files of ft are: $XDG_CONFIG_HOME/ft, else ~/.config/ft. */
#pragma once

/* The directory; confdir_make() makes it first, for the user alone. Descriptor, -ENOENT, -errno. */
int confdir_open(void);
int confdir_make(void);
