using TorchSharp.Native;

namespace FineTuneStudio.Engine.Training;

public static partial class MixedPrecision
{
    static partial void Find(ref Func<IDisposable>? autocast) => autocast = () => new Autocast();
}
