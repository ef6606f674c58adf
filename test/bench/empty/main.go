// Command empty does nothing: what it costs is the start and end of a process.
package main

func main() {}
