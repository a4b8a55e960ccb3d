using FineTuneStudio.Engine.Training;

namespace FineTuneStudio.Models;

/// The one classifier kept in memory: loading takes seconds, a text takes milliseconds. One caller at a time; a file is scored
/// in small turns, so that a person who types a text waits for one turn only.
public sealed class LoadedModel : IDisposable
{
    private readonly SemaphoreSlim turn = new(1, 1);
    private TextClassifier? classifier;
    private (string Folder, DateTime Written)? loaded;

    internal async Task<T> Use<T>(string folder, Func<TextClassifier, T> work, CancellationToken cancel)
    {
        await turn.WaitAsync(cancel);
        try
        {
            return await Task.Run(() =>
            {
                var wanted = (folder, File.GetLastWriteTimeUtc(Path.Combine(folder, "model.safetensors")));
                if (loaded != wanted)
                {
                    classifier?.Dispose();
                    (classifier, loaded) = (null, null);
                    classifier = TextClassifier.Load(folder);
                    loaded = wanted;
                }
                return work(classifier!);
            }, cancel);
        }
        finally { turn.Release(); }
    }

    public void Dispose()
    {
        classifier?.Dispose();
        turn.Dispose();
    }
}
