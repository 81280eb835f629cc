/* SPDX-License-Identifier: MIT */
/* The two kinds of kernel images. Only for kvm_boot.c and kvm_image.c. */
#ifndef HVBUS_HV_CORE_KVM_KVM_IMAGE_H
#define HVBUS_HV_CORE_KVM_KVM_IMAGE_H

#include <asm/bootparam.h>

#include "hv-core/gpa.h"

struct kvm_image {
	struct setup_header header; /* what goes into the boot parameters */
	uint64_t entry;
	uint64_t end; /* of all memory that the kernel needs before it looks at the map */
};

/* Loads the kernel @fd into @gpa, below @limit. As kvm_boot_load(). */
int kvm_image_load(struct kvm_image *im, struct hv_gpa *gpa, int fd, uint64_t limit, char *why,
		   size_t whylen);

/* All @len bytes at @offset. 0, -errno, -EIO when the file ends before. */
int kvm_image_read(int fd, uint64_t offset, void *out, uint64_t len);
/* Of an ordinary file that is not empty; -EINVAL, with a sentence about @what. */
int kvm_image_size(int fd, const char *what, uint64_t *size, char *why, size_t whylen);

#endif
