package install

import "testing"

func TestReadsDropIns(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		want          bool
	}{
		{"containerd", "1.6.20~ds1", false},
		{"containerd", "v1.7.27", false},
		{"containerd", "v2.0.5", false},
		{"containerd", "v2.1.0", true},
		{"containerd", "2.4.2", true},
		{"containerd", "v2.1.5-k3s1", true},
		{"containerd", "v3.0.0-rc.1", true},
		{"containerd", "2", false},
		{"containerd", "v10.x", false},
		{"containerd", "", false},
		{"cri-o", "2.4.2", false},
		{"", "2.4.2", false},
	} {
		if got := ReadsDropIns(tt.name, tt.version); got != tt.want {
			t.Errorf("ReadsDropIns(%q, %q): %v, want %v", tt.name, tt.version, got, tt.want)
		}
	}
}
