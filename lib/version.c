// SPDX-License-Identifier: LGPL-2.1-or-later
/* The release of the library at run time. */
#include <config.h>
#include <ffiguard.h>

const char *ffg_version(void)
{
	return PACKAGE_VERSION;
}
