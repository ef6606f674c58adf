package doctor

type networks struct{}

func readNetworks(string) networks { return networks{} }
func (networks) places() []place   { return nil }
