"""What every layer rests on: errors, paths, files, child processes, histories."""
