// Walk a tree with many goroutines, hash what is found, run itself again: what a static Go program does to its root.
//
// SPDX-License-Identifier: GPL-2.0-or-later
package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"sync"
)

func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Sprintf("%s %v", path, err)
	}
	text := fmt.Sprintf("%s %v %d", path, info.Mode(), info.Size())
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		text += fmt.Sprintf(" -> %s %v", target, err)
	}
	if info.Mode().IsRegular() {
		content, err := os.ReadFile(path)
		text += fmt.Sprintf(" %x %v", sha256.Sum256(content), err)
	}
	return text
}

func main() {
	if len(os.Args) > 2 {
		fmt.Println("child", os.Args[0], os.Args[1:])
		os.Exit(9)
	}
	var paths []string
	err := filepath.WalkDir(os.Args[1], func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	lines := make([]string, len(paths))
	var group sync.WaitGroup
	for i := range paths {
		group.Add(1)
		go func(i int) { defer group.Done(); lines[i] = describe(paths[i]) }(i)
	}
	group.Wait()
	sort.Strings(lines)
	hash := sha256.New()
	for _, line := range lines {
		fmt.Fprintln(hash, line)
	}
	executable, _ := os.Executable()
	directory, _ := os.Getwd()
	fmt.Printf("%d %x %v %s %s\n", len(lines), hash.Sum(nil), err, executable, directory)
	command := exec.Command(executable, "again", "and again")
	output, err := command.Output()
	fmt.Printf("%s%v\n", output, err)
	_, err = os.Stat("/no/such/name")
	fmt.Println(err)
}
