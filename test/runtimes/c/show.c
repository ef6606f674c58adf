// show PATH...: prints the type and the name of the maps that are pinned there.
#include <stdio.h>

#include <bpf/bpf.h>

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct bpf_map_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_obj_get(argv[i]);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size)) {
			perror(argv[i]);
			return 1;
		}
		printf("%u %s\n", info.type, info.name);
	}
	return 0;
}
