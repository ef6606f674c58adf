// policy PATH|ENDPOINT [ADDRESS VALUE]: sets an entry of a pod's map policy_, and shows all.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	char path[4096], address[INET_ADDRSTRLEN];
	unsigned int key, *last = NULL;
	unsigned long long value;
	int map;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: %s PATH|ENDPOINT [ADDRESS VALUE]\n", argv[0]);
		return 2;
	}
	if (argv[1][0] == '/') // from prevResult
		snprintf(path, sizeof(path), "%s", argv[1]);
	else
		snprintf(path, sizeof(path), "/sys/fs/bpf/cni/endpoints/%05d/by-name/policy_", atoi(argv[1]));
	map = bpf_obj_get(path);
	if (map < 0)
		return fail(path);
	if (argc == 4) {
		value = strtoull(argv[3], NULL, 0);
		if (inet_pton(AF_INET, argv[2], &key) != 1) {
			fprintf(stderr, "%s is not an IPv4 address\n", argv[2]);
			return 2;
		}
		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			return fail(path);
	}
	for (; !bpf_map_get_next_key(map, last, &key); last = &key)
		if (!bpf_map_lookup_elem(map, &key, &value)) // not gone meanwhile
			printf("%s %llu\n", inet_ntop(AF_INET, &key, address, sizeof(address)), value);
	return 0;
}
