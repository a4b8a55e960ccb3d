using FineTuneStudio.Engine.Text;

namespace FineTuneStudio.Engine.Baselines;

/// <summary>The baseline that knows the entities of the training rows by heart: from left to right it takes the longest run of words that is one of them.</summary>
public sealed class EntityList
{
    /// <summary>Words in a row with which an entity begins: what may come next, and how often they are a whole entity of each type.</summary>
    sealed class Run
    {
        public readonly Dictionary<string, Run> Next = new(StringComparer.Ordinal);
        public readonly Dictionary<int, int> Times = [];
        public int? Type;
    }

    readonly Run root = new();

    /// <summary>An entity that has several types in training gets its most frequent one, of equally frequent ones the first. Case counts; blanks between words do not.</summary>
    public static EntityList Fit(IReadOnlyList<(string Text, IReadOnlyList<TextSpan> Spans)> rows)
    {
        EntityList list = new();
        HashSet<Run> entities = [];
        foreach (var (text, spans) in rows)
        {
            foreach (TextSpan span in spans)
            {
                string entity = text[span.Start..span.End];
                Run run = list.root;
                foreach (var (start, end) in Words.Of(entity))
                {
                    string word = entity[start..end];
                    if (!run.Next.TryGetValue(word, out var next)) run.Next[word] = next = new();
                    run = next;
                }
                if (run == list.root) continue;
                run.Times[span.Label] = run.Times.GetValueOrDefault(span.Label) + 1;
                entities.Add(run);
            }
        }
        foreach (Run run in entities) run.Type = run.Times.OrderByDescending(t => t.Value).ThenBy(t => t.Key).First().Key;
        list.Count = entities.Count;
        return list;
    }

    /// <summary>Number of different entities that are known.</summary>
    public int Count { get; private set; }

    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public IReadOnlyList<TextSpan> Predict(string text, CancellationToken cancel = default)
    {
        List<TextSpan> found = [];
        var words = Words.Of(text);
        string[] written = [.. words.Select(w => text[w.Start..w.End])];
        for (int i = 0; i < words.Count;)
        {
            cancel.ThrowIfCancellationRequested();
            int end = i, type = 0, at = i;
            for (Run run = root; at < words.Count && run.Next.TryGetValue(written[at], out var next); run = next)
            {
                at++;
                if (next.Type is { } known) (end, type) = (at, known);
            }
            if (end > i) found.Add(new(words[i].Start, words[end - 1].End, type));
            i = Math.Max(i + 1, end);
        }
        return found;
    }
}
