"""Import rings: files that use each other, directly or through others."""


def rings_of(edges):
    """The rings in `{file: {other: names}}`, each as a sorted list of files. (Tarjan's algorithm.)"""
    number, lowest, stack, rings = {}, {}, [], []

    def visit(file):
        number[file] = lowest[file] = len(number)
        stack.append(file)
        for other in sorted(edges.get(file, ())):
            if other not in number:
                visit(other)
                lowest[file] = min(lowest[file], lowest[other])
            elif other in stack:
                lowest[file] = min(lowest[file], number[other])
        if lowest[file] == number[file]:
            ring = []
            while not ring or ring[-1] != file:
                ring.append(stack.pop())
            if len(ring) > 1:
                rings.append(sorted(ring))

    for file in sorted(edges):
        if file not in number:
            visit(file)
    return rings


def arrows_of(ring, edges):
    """The imports that hold a ring together, as `(file, other, names)`."""
    within = set(ring)
    for file in ring:
        for other in sorted(within & set(edges.get(file, ()))):
            yield file, other, sorted(edges[file][other])
