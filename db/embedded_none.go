//go:build !full || !linux

package db

var embedded *embeddedPostgres
