package kernels

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A kernel is one that install.sh brought.
type kernel struct {
	name    string // of its directory, such as 6.1-arm64
	arch    string // as Go calls it
	release string
}

// dir returns where its files are, and what its machine said.
func (k kernel) dir() string { return filepath.Join(repo, "bin/kernels", k.name) }

// kernelsOf returns the kernels of these names, in this order.
func kernelsOf(names []string) ([]kernel, error) {
	var kernels []kernel
	for _, name := range names {
		k := kernel{name: name, arch: name[strings.LastIndex(name, "-")+1:]}
		release, err := os.ReadFile(filepath.Join(k.dir(), "release"))
		if err != nil {
			return nil, fmt.Errorf("the kernel %s (run install.sh): %w", name, err)
		}
		k.release = strings.TrimSpace(string(release))
		kernels = append(kernels, k)
	}
	return kernels, nil
}
