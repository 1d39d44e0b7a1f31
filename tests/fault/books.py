"""What clients know: what each name was to have, and how much of that was acknowledged. Against it is held what is
found after a fault."""
import hashlib
import threading


def state_of(data):
    return hashlib.sha256(data).digest()


def state(path):
    """Of a file; None: there is none."""
    try:
        return state_of(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None


class Books:
    """Of each name the states that it was to have, in their order, and the first that may still be there: what was
    acknowledged, or what was asked for later, is there. Where names are not durable, what was before may be, too."""

    def __init__(self, names_last=True):
        self.names_last, self.lock, self.states, self.sure = names_last, threading.Lock(), {}, {}

    def begins(self, name, after):
        """A request is on its way that makes of `name` `after` (a state; None: nothing)."""
        with self.lock:
            self.states.setdefault(name, [None]).append(after)

    def acknowledged(self, *names):
        """Nothing before the last can be there any more."""
        with self.lock:
            for name in names if self.names_last else ():
                self.sure[name] = len(self.states[name]) - 1

    def acknowledged_by_now(self):
        """Of each name the number of the first state that may be there."""
        with self.lock:
            return {name: self.sure.get(name, 0) for name in self.states}

    def asked_by_now(self):
        """Of each name all the states that it was to have, in their order."""
        with self.lock:
            return {name: list(states) for name, states in self.states.items()}

    def wrong(self, root):
        """What is there now, and should not be."""
        return lost(self.acknowledged_by_now(), self.asked_by_now(), root)


def lost(before, after, where):
    """What is there and should not be: `before` was acknowledged before the fault, `after` asked for by its end."""
    wrong = []
    for name, states in after.items():
        found = state(where / name[1:])
        if found not in states[before.get(name, 0):]:
            wrong.append(f"{name}: {'gone' if found is None else 'not its content'}")
    return wrong
