package messagestore

// OwnMessages returns a zero value of each message that subscriptions write about
// themselves, by category.
func OwnMessages() map[Category][]Body {
	return map[Category][]Body{
		PositionCategory: {read{}, streamReleased{}},
	}
}
